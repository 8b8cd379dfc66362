"""The shape of nano: every number of its networks that is not the same in the tiny checkpoint.

One expert a layer, always chosen, is a dense network in the released layout: on a processor,
several experts would halve the speed of training.
"""

from __future__ import annotations

from collections.abc import Mapping

from myna.models import tiny_omni as tiny

Json = dict[str, object]

VOCAB_SIZE = 2_560  # text tokens, special ones included
CODEBOOK_SIZE = 256
NUM_CODEBOOKS = 8
NUM_CONTROLS = tiny.NUM_CONTROLS
FRAME_SAMPLES = 1_920  # of 24 kHz sound: 80 ms
SOUND_CHUNK_FRAMES = 800  # a whole window: no two frames of it bear the same position
MIN_PICTURE_PIXELS = 64 * 128  # smaller pictures are enlarged
MAX_PICTURE_PIXELS = 128 * 256  # and larger ones made smaller
CLIP_PIXELS = 96 * 96  # of a frame of a clip, at most
THINKER_WIDTH = 256
VOICE = "nano"
NAMED_TOKENS = tiny.NAMED_TOKENS

_DECODER: Json = {
    **tiny.DECODER,
    "head_dim": 64,
    "max_position_embeddings": 4096,
    "num_experts": 1,
    "num_experts_per_tok": 1,
    "rope_theta": 10_000,
    "rope_scaling": {"interleaved": True, "mrope_section": [12, 10, 10], "rope_type": "default"},
}
_THINKER: Json = {
    **_DECODER,
    "hidden_size": THINKER_WIDTH,
    "intermediate_size": 640,
    "moe_intermediate_size": 640,
    "num_attention_heads": 4,
    "num_hidden_layers": 6,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB_SIZE,
}
_AUDIO: Json = {
    **tiny.AUDIO,
    "d_model": 256,
    "downsample_hidden_size": 48,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 512,
    "encoder_layers": 4,
    "n_window": SOUND_CHUNK_FRAMES // 2,
    "n_window_infer": SOUND_CHUNK_FRAMES,
    "num_hidden_layers": 4,
    "output_dim": THINKER_WIDTH,
}
_VISION: Json = {
    **tiny.VISION,
    "deepstack_visual_indexes": [2],
    "depth": 6,
    "hidden_size": 160,
    "intermediate_size": 640,
    "num_heads": 4,
    "num_position_embeddings": 144,
    "out_hidden_size": THINKER_WIDTH,
}
_TALKER: Json = {
    **_DECODER,
    "hidden_size": 192,
    "intermediate_size": 384,  # of the two projections
    "moe_intermediate_size": 256,
    "num_attention_heads": 3,
    "num_hidden_layers": 4,
    "num_key_value_heads": 1,
    "shared_expert_intermediate_size": 256,
    "vocab_size": CODEBOOK_SIZE + NUM_CONTROLS,
}
_CODE_PREDICTOR: Json = {
    **tiny.CODE_PREDICTOR,
    "head_dim": 64,
    "hidden_size": 192,
    "intermediate_size": 512,
    "max_position_embeddings": 4096,
    "num_attention_heads": 3,
    "num_code_groups": NUM_CODEBOOKS,
    "num_key_value_heads": 1,
    "rope_theta": 10_000,
    "vocab_size": CODEBOOK_SIZE,
}
_CODE2WAV: Json = {
    **tiny.CODE2WAV,
    "codebook_size": CODEBOOK_SIZE,
    "decoder_dim": 192,
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_attention_heads": 3,
    "num_hidden_layers": 3,
    "num_key_value_heads": 3,
    "num_quantizers": NUM_CODEBOOKS,
}
PREPROCESSOR: Json = {
    **tiny.PREPROCESSOR,
    "max_pixels": MAX_PICTURE_PIXELS,
    "min_pixels": MIN_PICTURE_PIXELS,
}


def config(ids: Mapping[str, int]) -> Json:
    """Make the config.json.

    Args:
        ids: the number of each of `NAMED_TOKENS`.
    """
    return tiny.omni_config(
        ids,
        audio=_AUDIO,
        text=_THINKER,
        vision=_VISION,
        speech=tiny.SpeechSections(
            talker=_TALKER, code_predictor=_CODE_PREDICTOR, code2wav=_CODE2WAV, voices=(VOICE,)
        ),
        dtype="bfloat16",
    )
