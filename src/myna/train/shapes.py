"""The shape of nano: every number of its networks, in the released form of a config.json.

One expert a layer, always chosen, is a dense network in the released layout: on a processor,
several experts would halve the speed of training.
"""

from __future__ import annotations

from collections.abc import Mapping

Json = dict[str, object]

VOCAB_SIZE = 2_560  # text tokens, special ones included
CODEBOOK_SIZE = 256
NUM_CODEBOOKS = 8
NUM_CONTROLS = 1_024  # talker codes that are no sound, as in the released models
FRAME_SAMPLES = 1_920  # of 24 kHz sound: 80 ms
SOUND_CHUNK_FRAMES = 800  # a whole window: no two frames of it bear the same position
PICTURE_PIXELS = 128 * 128  # every picture is brought to about so many
CLIP_PIXELS = 96 * 96  # and every frame of a clip
THINKER_WIDTH = 256
VOICE = "nano"
NAMED_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|image_pad|>", "<|video_pad|>", "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>"),
    *("<tts_pad>", "<tts_text_bos>", "<tts_text_eod>", "system", "user", "assistant"),
)

_ROPE: Json = {
    "rope_theta": 10_000,
    "rope_scaling": {"interleaved": True, "mrope_section": [12, 10, 10], "rope_type": "default"},
}
_DECODER: Json = {
    "attention_bias": False,
    "decoder_sparse_step": 1,
    "head_dim": 64,
    "hidden_act": "silu",
    "max_position_embeddings": 4096,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
    "num_experts": 1,
    "num_experts_per_tok": 1,
    "rms_norm_eps": 1e-6,
    **_ROPE,
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
    "activation_function": "gelu",
    "conv_chunksize": 500,
    "d_model": 256,
    "downsample_hidden_size": 48,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 512,
    "encoder_layers": 4,
    "max_source_positions": 1500,
    "n_window": SOUND_CHUNK_FRAMES // 2,
    "n_window_infer": SOUND_CHUNK_FRAMES,
    "num_hidden_layers": 4,
    "num_mel_bins": 128,
    "output_dim": THINKER_WIDTH,
    "scale_embedding": False,
}
_VISION: Json = {
    "deepstack_visual_indexes": [2],
    "depth": 6,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_size": 160,
    "in_channels": 3,
    "intermediate_size": 640,
    "num_heads": 4,
    "num_position_embeddings": 144,
    "out_hidden_size": THINKER_WIDTH,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
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
    "attention_bias": False,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 192,
    "intermediate_size": 512,
    "max_position_embeddings": 4096,
    "num_attention_heads": 3,
    "num_code_groups": NUM_CODEBOOKS,
    "num_hidden_layers": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10_000,
    "vocab_size": CODEBOOK_SIZE,
}
_CODE2WAV: Json = {
    "codebook_size": CODEBOOK_SIZE,
    "decoder_dim": 192,
    "hidden_act": "silu",
    "hidden_size": 192,
    "intermediate_size": 512,
    "layer_scale_initial_scale": 0.01,
    "max_position_embeddings": 8000,
    "num_attention_heads": 3,
    "num_hidden_layers": 3,
    "num_key_value_heads": 3,
    "num_quantizers": NUM_CODEBOOKS,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000,
    "sliding_window": 72,
    "upsample_rates": [8, 5, 4, 3],
    "upsampling_ratios": [2, 2],
}
# As far above the codebook as in the released models.
_CODEC: Json = {
    "codec_pad_id": CODEBOOK_SIZE + 100,
    "codec_bos_id": CODEBOOK_SIZE + 101,
    "codec_eos_token_id": CODEBOOK_SIZE + 102,
    "codec_nothink_id": CODEBOOK_SIZE + 107,
    "codec_think_bos_id": CODEBOOK_SIZE + 108,
    "codec_think_eos_id": CODEBOOK_SIZE + 109,
    "speaker_id": {VOICE: CODEBOOK_SIZE + 253},
}
PREPROCESSOR: Json = {
    "dither": 0.0,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": 128,
    "hop_length": 160,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "Qwen2VLImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "max_pixels": PICTURE_PIXELS,
    "merge_size": 2,
    "min_pixels": PICTURE_PIXELS // 2,
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


def config(ids: Mapping[str, int]) -> Json:
    """Make the config.json.

    Args:
        ids: the number of each of `NAMED_TOKENS`.
    """
    media: Json = {
        "audio_end_token_id": ids["<|audio_end|>"],
        "audio_start_token_id": ids["<|audio_start|>"],
        "audio_token_id": ids["<|audio_pad|>"],
        "image_token_id": ids["<|image_pad|>"],
        "position_id_per_seconds": 13,
        "seconds_per_chunk": 2,
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
    }
    return {
        "architectures": ["Qwen3OmniMoeForConditionalGeneration"],
        "code2wav_config": _CODE2WAV,
        "dtype": "bfloat16",
        "enable_audio_output": True,
        "im_end_token_id": ids["<|im_end|>"],
        "im_start_token_id": ids["<|im_start|>"],
        "model_type": "qwen3_omni_moe",
        "talker_config": {
            "accept_hidden_layer": 4,
            "code_predictor_config": _CODE_PREDICTOR,
            "num_code_groups": NUM_CODEBOOKS,
            "spatial_merge_size": 2,
            "text_config": _TALKER,
            "thinker_hidden_size": THINKER_WIDTH,
            **_CODEC,
            **media,
        },
        "thinker_config": {
            "audio_config": _AUDIO,
            "text_config": _THINKER,
            "vision_config": _VISION,
            "vision_end_token_id": ids["<|vision_end|>"],
            **media,
        },
        "tts_bos_token_id": ids["<tts_text_bos>"],
        "tts_eos_token_id": ids["<tts_text_eod>"],
        "tts_pad_token_id": ids["<tts_pad>"],
        **{f"{role}_token_id": ids[role] for role in ("system", "user", "assistant")},
    }
