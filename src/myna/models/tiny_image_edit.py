"""Write a seeded, tiny Qwen-Image-Edit checkpoint, with the folders and files of a released one.

Sizes that pictures share with the world are the released ones: patches, latents, levels. All else
is small. What it makes of a picture is noise, but every part of it runs.
"""

from __future__ import annotations

import zlib
from math import prod
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from myna.models.qwen_image_edit.config import TextEncoderConfig, TransformerConfig, VaeConfig
from myna.models.qwen_image_edit.text_encoder import TextEncoder
from myna.models.qwen_image_edit.vae import Vae
from myna.models.qwen_image_edit.weights import (
    ADDED_QKV,
    GATE_UP,
    JOINT_QKV,
    QKV,
    EditTransformer,
)
from myna.models.tiny import DTYPES, Json, write_json, write_weights
from myna.models.tiny import draw as draw_vector
from myna.models.tiny_omni import ROLES, SPECIAL_TOKENS, token_ids
from myna.models.tiny_tokenizer import WORDS, added_token, vocabulary, write_vocabulary

STEM = "diffusion_pytorch_model"
SHARD_BYTES = 200_000  # so that even a tiny network has several shards
UNIT_GAIN = 0.3  # of what a residual block adds, or errors would grow from one to the next

MODEL_INDEX: Json = {
    "_class_name": "QwenImageEditPlusPipeline",
    "_diffusers_version": "0.36.0.dev0",
    "processor": ["transformers", "Qwen2VLProcessor"],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
    "tokenizer": ["transformers", "Qwen2Tokenizer"],
    "transformer": ["diffusers", "QwenImageTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKLQwenImage"],
}
SCHEDULER: Json = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "_diffusers_version": "0.36.0.dev0",
    "base_image_seq_len": 256,
    "base_shift": 0.5,
    "invert_sigmas": False,
    "max_image_seq_len": 8192,
    "max_shift": 0.9,
    "num_train_timesteps": 1000,
    "shift": 1.0,
    "shift_terminal": 0.02,
    "stochastic_sampling": False,
    "time_shift_type": "exponential",
    "use_beta_sigmas": False,
    "use_dynamic_shifting": True,
    "use_exponential_sigmas": False,
    "use_karras_sigmas": False,
}
TRANSFORMER: Json = {
    "_class_name": "QwenImageTransformer2DModel",
    "_diffusers_version": "0.36.0.dev0",
    "attention_head_dim": 16,
    "axes_dims_rope": [4, 6, 6],
    "guidance_embeds": False,
    "in_channels": 64,
    "joint_attention_dim": 32,
    "num_attention_heads": 2,
    "num_layers": 3,
    "out_channels": 16,
    "patch_size": 2,
}
VAE: Json = {
    "_class_name": "AutoencoderKLQwenImage",
    "_diffusers_version": "0.36.0.dev0",
    "attn_scales": [],
    "base_dim": 4,
    "dim_mult": [1, 2, 4, 4],
    "dropout": 0.0,
    "latents_mean": [round(0.3 * (channel % 5) - 0.5, 4) for channel in range(16)],
    "latents_std": [round(1.1 + 0.1 * (channel % 7), 4) for channel in range(16)],
    "num_res_blocks": 2,
    "temperal_downsample": [False, True, True],
    "z_dim": 16,
}
PREPROCESSOR: Json = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "Qwen2VLImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "max_pixels": 12_845_056,
    "merge_size": 2,
    "min_pixels": 3136,
    "patch_size": 14,
    "processor_class": "Qwen2VLProcessor",
    "temporal_patch_size": 2,
}


def text_encoder_config() -> dict[str, object]:
    """Make the config.json of a tiny text encoder."""
    ids = token_ids()
    rope = {"mrope_section": [2, 3, 3], "rope_type": "default", "type": "default"}
    text = {
        "hidden_act": "silu",
        "hidden_size": 32,
        "intermediate_size": 48,
        "max_position_embeddings": 8192,
        "model_type": "qwen2_5_vl_text",
        "num_attention_heads": 2,
        "num_hidden_layers": 3,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6,
        "rope_scaling": rope,
        "rope_theta": 1_000_000.0,
        "use_sliding_window": False,
        "vocab_size": -(-len(ids) // 32) * 32,  # padded, as released vocabularies are
    }
    vision = {
        "depth": 3,
        "fullatt_block_indexes": [1],
        "hidden_act": "silu",
        "hidden_size": 32,
        "in_channels": 3,
        "in_chans": 3,
        "intermediate_size": 48,
        "model_type": "qwen2_5_vl",
        "num_heads": 2,
        "out_hidden_size": 32,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "temporal_patch_size": 2,
        "tokens_per_second": 2,
        "window_size": 112,
    }
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "image_token_id": ids["<|image_pad|>"],
        "model_type": "qwen2_5_vl",
        "text_config": text,
        "tie_word_embeddings": False,
        "video_token_id": ids["<|video_pad|>"],
        "vision_config": vision,
        "vision_end_token_id": ids["<|vision_end|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        **{key: value for key, value in text.items() if key != "model_type"},
    }


def write_tiny_image_edit(folder: Path, *, seed: int = 0, dtype: str = "float32") -> Path:
    """Write a checkpoint of about two megabytes.

    Args:
        folder: made if it is not there.
        seed: equal seeds give equal bytes.
        dtype: "float32" or "bfloat16".

    Returns:
        The folder.
    """
    for part in ("scheduler", "tokenizer", "processor", "text_encoder", "transformer", "vae"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    write_json(folder / "model_index.json", MODEL_INDEX)
    write_json(folder / "scheduler/scheduler_config.json", SCHEDULER)
    write_json(folder / "processor/preprocessor_config.json", PREPROCESSOR)
    _write_tokenizer(folder / "tokenizer")
    for part, config in (
        ("text_encoder", {**text_encoder_config(), "torch_dtype": dtype}),
        ("transformer", TRANSFORMER),
        ("vae", VAE),
    ):
        write_json(folder / part / "config.json", config)
    with torch.device("meta"):
        parts = {
            "text_encoder": TextEncoder(TextEncoderConfig.from_hf(text_encoder_config())),
            "transformer": EditTransformer(TransformerConfig.from_hf(TRANSFORMER)),
            "vae": Vae(VaeConfig.from_hf(VAE)),
        }
    for part, network in parts.items():
        if part == "vae":
            continue
        write_weights(
            folder / part,
            released_tensors(part, network),
            seed=seed,
            dtype=dtype,
            shard_bytes=SHARD_BYTES,
            draw=draw,
            stem="model" if part == "text_encoder" else STEM,
        )
    _write_vae(folder / "vae", released_tensors("vae", parts["vae"]), seed=seed, dtype=dtype)
    return folder


def _write_tokenizer(folder: Path) -> None:
    ids = token_ids()
    vocab, merges = vocabulary((*WORDS, *ROLES))
    special = [added_token(token, ids[token], is_special=True) for token in SPECIAL_TOKENS]
    write_vocabulary(folder, vocab, merges, special)


def _write_vae(folder: Path, tensors: dict[str, tuple[int, ...]], *, seed: int, dtype: str) -> None:
    drawn = {
        name: draw(name, shape, seed=seed).to(DTYPES[dtype]) for name, shape in tensors.items()
    }
    save_file(drawn, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def released_tensors(part: str, network: nn.Module) -> dict[str, tuple[int, ...]]:
    """List the released tensors of a network and their shapes: the rules undone."""
    out: dict[str, tuple[int, ...]] = {}
    for name, value in network.named_parameters():
        out |= _RELEASED[part](name, tuple(value.shape), network)
    if part == "text_encoder":
        out["lm_head.weight"] = out["model.embed_tokens.weight"]
    return out


def _encoder_tensors(
    name: str, shape: tuple[int, ...], network: nn.Module
) -> dict[str, tuple[int, ...]]:
    name = name if name.startswith("visual.") else f"model.{name}"
    if ".qkv_proj." in name:
        decoder = network.config.decoder
        kv = decoder.num_kv_heads * decoder.head_width
        rows = (shape[0] - 2 * kv, kv, kv)
        return _split(name, "qkv_proj", QKV, rows, shape)
    if ".gate_up_proj." in name:
        return _split(name, "gate_up_proj", GATE_UP, (shape[0] // 2,) * 2, shape)
    return {name: shape}


def _split(
    name: str, fused: str, parts: tuple[str, ...], rows: tuple[int, ...], shape: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """Name what was fused into one parameter."""
    return {
        name.replace(fused, part): (size, *shape[1:])
        for part, size in zip(parts, rows, strict=True)
    }


def _transformer_tensors(
    name: str, shape: tuple[int, ...], _network: nn.Module
) -> dict[str, tuple[int, ...]]:
    for fused, parts in (("add_qkv_proj", ADDED_QKV), ("to_qkv", JOINT_QKV)):
        if f".{fused}." in name:
            return _split(name, fused, parts, (shape[0] // 3,) * 3, shape)
    for ours, theirs in (
        ("modulator.timestep_embedder.", "time_text_embed.timestep_embedder."),
        ("modulator.norm_out.", "norm_out.linear."),
        ("modulator.blocks.", "transformer_blocks."),
        ("_mod.", "_mod.1."),
        (".to_out.", ".to_out.0."),
        ("_mlp.fc1.", "_mlp.net.0.proj."),
        ("_mlp.fc2.", "_mlp.net.2."),
    ):
        name = name.replace(ours, theirs)
    return {name: shape}


def _vae_tensors(
    name: str, shape: tuple[int, ...], network: nn.Module
) -> dict[str, tuple[int, ...]]:
    path, _, leaf = name.rpartition(".")
    if leaf == "gamma":
        is_flat = path.endswith("attentions.0.norm")
        return {name: (*shape, 1, 1) if is_flat else (*shape, 1, 1, 1)}
    is_in_time = not any(part in path for part in ("resample", "to_qkv", "attentions.0.proj"))
    if leaf == "weight" and is_in_time:
        taps = shape[-1]
        return {name: (*shape[:2], taps, *shape[2:])}
    if ".resample." in name and leaf == "bias":
        return {name: shape, **_time_conv(name, network)}
    return {name: shape}


def _time_conv(name: str, network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name the convolution in time beside a flat one, where the released network has one."""
    path = name.rpartition(".resample.")[0]
    number = int(path.split(".")[2]) if "up_blocks" in path else None
    channels = network.get_submodule(path).resample[1].in_channels
    if number is None:
        levels = [p for p, _ in network.encoder.down_blocks.named_children()]
        first = next(p for p in levels if hasattr(network.encoder.down_blocks[int(p)], "resample"))
        if path.endswith(f"down_blocks.{first}"):
            return {}
        out = channels
    elif number < 2:
        out = 2 * channels
    else:
        return {}
    return {f"{path}.time_conv.weight": (out, channels, 3, 1, 1), f"{path}.time_conv.bias": (out,)}


_RELEASED = {
    "text_encoder": _encoder_tensors,
    "transformer": _transformer_tensors,
    "vae": _vae_tensors,
}


def draw(name: str, shape: tuple[int, ...], *, seed: int) -> Tensor:
    """Draw one tensor, none of it neutral, and no network within chaotic."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
    if name.endswith(".gamma"):
        return torch.empty(shape).uniform_(0.5, 1.5, generator=generator)
    if len(shape) == 1:
        return draw_vector(name, shape, seed=seed)
    gain = UNIT_GAIN if ".conv2." in name else 1.0
    return torch.empty(shape).normal_(0, gain * prod(shape[1:]) ** -0.5, generator=generator)
