"""Write a seeded, tiny Qwen3-Omni checkpoint, with the files of a released one and no others.

Sizes that media and codes share with the world are the released ones: mel bins, patches, samples a
frame. All else is small. Answers are nonsense, and speech is noise that ends after some seconds.
The sections of its configuration are public: models of other sizes are written as changes to them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.tensors import tensors
from myna.models.tiny import Json, write_json, write_weights
from myna.models.tiny import draw as draw_text
from myna.models.tiny_tokenizer import WORDS, added_token, vocabulary, write_vocabulary

SHARD_BYTES = 262_144  # so that even a tiny checkpoint has several shards
ROLES = ("system", "user", "assistant")
NAMED_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|image_pad|>", "<|video_pad|>", "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>"),
    *("<tts_pad>", "<tts_text_bos>", "<tts_text_eod>", *ROLES),
)  # what a configuration names by number
MARKERS = ("<tool_call>", "</tool_call>", "<think>", "</think>")  # text to the tokenizer, not marks
SPECIAL_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
    *MARKERS,
    *("<|audio_start|>", "<|audio_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>"),
    *("<tts_text_bos_single>", "<|audio_pad|>"),
)
CODEBOOK_SIZE = 64
NUM_CODEBOOKS = 4
LAST_CONV = "code2wav.decoder.6.conv.weight"
UNIT_GAIN = 0.1
LAST_GAIN = 0.1
NUM_CONTROLS = 1024  # the talker's code counts on so many codes that are no sound

CHAT_TEMPLATE = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.content is string %}
        {{- message.content }}
    {%- else %}
        {%- for part in message.content %}
            {%- if part.type == 'image' or 'image' in part or 'image_url' in part %}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' }}
            {%- elif part.type == 'video' or 'video' in part %}
                {{- '<|vision_start|><|video_pad|><|vision_end|>' }}
            {%- elif part.type == 'audio' or 'audio' in part or 'audio_url' in part %}
                {{- '<|audio_start|><|audio_pad|><|audio_end|>' }}
            {%- elif 'text' in part %}
                {{- part.text }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

DECODER: Json = {
    "attention_bias": False,
    "decoder_sparse_step": 1,
    "head_dim": 16,
    "hidden_act": "silu",
    "max_position_embeddings": 8192,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000,
    "rope_scaling": {"interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default"},
}
_WIDTHS: Json = {
    "hidden_size": 32,
    "moe_intermediate_size": 16,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
AUDIO: Json = {
    "activation_function": "gelu",
    "conv_chunksize": 500,
    "d_model": 32,
    "downsample_hidden_size": 8,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "encoder_layers": 2,
    "max_source_positions": 1500,
    "n_window": 50,
    "n_window_infer": 800,
    "num_hidden_layers": 2,
    "num_mel_bins": 128,
    "output_dim": 32,
    "scale_embedding": False,
}
VISION: Json = {
    "deepstack_visual_indexes": [0, 1, 2],
    "depth": 3,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_size": 16,
    "in_channels": 3,
    "intermediate_size": 24,
    "num_heads": 2,
    "num_position_embeddings": 64,
    "out_hidden_size": 32,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
CODE_PREDICTOR: Json = {
    "attention_bias": False,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 32,
    "intermediate_size": 48,
    "max_position_embeddings": 8192,
    "num_attention_heads": 4,
    "num_code_groups": NUM_CODEBOOKS,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000,
    "vocab_size": CODEBOOK_SIZE,
}
CODE2WAV: Json = {
    "codebook_size": CODEBOOK_SIZE,
    "decoder_dim": 32,
    "hidden_act": "silu",
    "hidden_size": 32,
    "intermediate_size": 48,
    "layer_scale_initial_scale": 0.01,
    "max_position_embeddings": 8000,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "num_quantizers": NUM_CODEBOOKS,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000,
    "sliding_window": 72,
    "upsample_rates": [8, 5, 4, 3],
    "upsampling_ratios": [2, 2],
}
PREPROCESSOR: Json = {
    "dither": 0.0,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": 128,
    "hop_length": 160,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "Qwen2VLImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "max_pixels": 12_845_056,
    "merge_size": 2,
    "min_pixels": 3136,
    "n_fft": 400,
    "n_samples": 4_800_000,
    "nb_max_frames": 30_000,
    "padding_side": "right",
    "padding_value": 0.0,
    "patch_size": 16,
    "processor_class": "Qwen3OmniMoeProcessor",
    "return_attention_mask": True,
    "sampling_rate": 16_000,
    "temporal_patch_size": 2,
}


@dataclass(frozen=True)
class SpeechSections:
    """Hold the sections of what speaks, and its voices' names."""

    talker: Json
    code_predictor: Json
    code2wav: Json
    voices: tuple[str, ...]


def write_tiny_omni(
    folder: Path, *, seed: int = 0, dtype: str = "float32", has_speech: bool = True
) -> Path:
    """Write a checkpoint of less than two megabytes.

    Args:
        folder: made if it is not there.
        seed: equal seeds give equal bytes.
        dtype: "float32" or "bfloat16".
        has_speech: whether it can speak, as Instruct, or only writes, as Thinking and Captioner.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = tiny_omni_config(has_speech=has_speech, dtype=dtype)
    ids = token_ids()
    generation = {
        "do_sample": True,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "temperature": 0.7,
        "top_k": 20,
        "top_p": 0.8,
    }
    vocab, merges = vocabulary((*WORDS, *ROLES))
    added = [
        added_token(token, ids[token], is_special=token not in MARKERS) for token in SPECIAL_TOKENS
    ]
    write_weights(
        folder,
        tensors(Config.from_hf(config)),
        seed=seed,
        dtype=dtype,
        shard_bytes=SHARD_BYTES,
        draw=draw,
    )
    write_vocabulary(folder, vocab, merges, added)
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", generation)
    write_json(folder / "preprocessor_config.json", PREPROCESSOR)
    write_json(folder / "chat_template.json", {"chat_template": CHAT_TEMPLATE})
    return folder


def token_ids() -> dict[str, int]:
    """Number all tokens: words first, then what is no text."""
    vocab, _ = vocabulary((*WORDS, *ROLES))
    return vocab | {token: len(vocab) + i for i, token in enumerate(SPECIAL_TOKENS)}


def tiny_omni_config(*, has_speech: bool = True, dtype: str = "float32") -> dict[str, object]:
    """Make the config.json of a tiny checkpoint."""
    ids = token_ids()
    vocab_size = -(-len(ids) // 32) * 32  # padded, as released vocabularies are
    text = {"intermediate_size": 16, "num_hidden_layers": 5, "vocab_size": vocab_size}
    talker = {
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "shared_expert_intermediate_size": 24,
        "vocab_size": CODEBOOK_SIZE + NUM_CONTROLS,
    }
    speech = SpeechSections(
        talker={**DECODER, **_WIDTHS, **talker},
        code_predictor=CODE_PREDICTOR,
        code2wav=CODE2WAV,
        voices=("chelsie", "ethan", "aiden"),
    )
    return omni_config(
        ids,
        audio=AUDIO,
        text={**DECODER, **_WIDTHS, **text},
        vision=VISION,
        speech=speech if has_speech else None,
        dtype=dtype,
    )


def omni_config(
    ids: Mapping[str, int],
    *,
    audio: Json,
    text: Json,
    vision: Json,
    speech: SpeechSections | None,
    dtype: str,
) -> dict[str, object]:
    """Make a config.json in the released form of its sections.

    Args:
        ids: the number of each of `NAMED_TOKENS`.
        audio: the audio encoder.
        text: the thinker's decoder.
        vision: the vision encoder.
        speech: what speaks; None if it only writes.
        dtype: of the weights.
    """
    media = {
        "audio_end_token_id": ids["<|audio_end|>"],
        "audio_start_token_id": ids["<|audio_start|>"],
        "audio_token_id": ids["<|audio_pad|>"],
        "image_token_id": ids["<|image_pad|>"],
        "position_id_per_seconds": 13,
        "seconds_per_chunk": 2,
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
    }
    sections = {
        "architectures": ["Qwen3OmniMoeForConditionalGeneration"],
        "code2wav_config": speech and speech.code2wav,
        "dtype": dtype,
        "enable_audio_output": speech is not None,
        "im_end_token_id": ids["<|im_end|>"],
        "im_start_token_id": ids["<|im_start|>"],
        "model_type": "qwen3_omni_moe",
        "talker_config": speech and _talker(speech, text["hidden_size"], media),
        "thinker_config": {
            "audio_config": audio,
            "text_config": text,
            "vision_config": vision,
            "vision_end_token_id": ids["<|vision_end|>"],
            **media,
        },
        "tts_bos_token_id": ids["<tts_text_bos>"],
        "tts_eos_token_id": ids["<tts_text_eod>"],
        "tts_pad_token_id": ids["<tts_pad>"],
        **{f"{role}_token_id": ids[role] for role in ROLES},
    }
    return {name: section for name, section in sections.items() if section is not None}


def _talker(speech: SpeechSections, thinker_width: object, media: Json) -> Json:
    """Write the talker's section.

    Codes that are no sound have places above the codebook, as far up as in the released model.
    """
    size = speech.code2wav["codebook_size"]
    assert isinstance(size, int)
    return {
        "accept_hidden_layer": 4,
        "code_predictor_config": speech.code_predictor,
        "num_code_groups": speech.code_predictor["num_code_groups"],
        "spatial_merge_size": 2,
        "text_config": speech.talker,
        "thinker_hidden_size": thinker_width,
        "codec_pad_id": size + 100,
        "codec_bos_id": size + 101,
        "codec_eos_token_id": size + 102,
        "codec_nothink_id": size + 107,
        "codec_think_bos_id": size + 108,
        "codec_think_eos_id": size + 109,
        "speaker_id": {voice: size + 253 + i for i, voice in enumerate(speech.voices)},
        **media,
    }


def draw(name: str, shape: tuple[int, ...], *, seed: int) -> Tensor:
    """Draw one tensor, none of it neutral, and no network within chaotic."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
    if name.endswith((".alpha", ".beta")):
        return torch.empty(shape).normal_(0, 0.5, generator=generator)
    if name.endswith((".gamma", ".scale")):
        return torch.empty(shape).uniform_(0.2, 1, generator=generator)
    if len(shape) >= 3 or (name.startswith("code2wav.") and len(shape) == 2):
        fan_in = shape[0] * 2 if _is_transposed(name) else prod(shape[1:])
        return torch.empty(shape).normal_(0, _gain(name) * fan_in**-0.5, generator=generator)
    return draw_text(name, shape, seed=seed)


def _is_transposed(name: str) -> bool:
    pattern = r"code2wav\.(upsample\.\d+\.0|decoder\.\d+\.block\.1)\.conv\.weight"
    return re.fullmatch(pattern, name) is not None


def _gain(name: str) -> float:
    """Keep small what residual units add, or errors would grow from one to the next; and the last
    convolution, or the wave would be clipped.
    """
    if name == LAST_CONV:
        return LAST_GAIN
    return UNIT_GAIN if ".conv2." in name else 1.0
