"""Write seeded checkpoints of any family, in the released form: for tests, examples and
measurements.

The tiny ones take kilobytes and answer nonsense, but every file is there, and no weight is neutral:
a norm of ones or a bias of zeros would hide whether it is read at all.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor

from myna.core.errors import Unsupported
from myna.models.registry import family_for_config
from myna.models.tiny_tokenizer import num_tokens, special_ids, write_tokenizer

Json = Mapping[str, object]


class Draw(Protocol):
    """Make one tensor of a checkpoint, which depends on its arguments alone."""

    def __call__(self, name: str, shape: tuple[int, ...], *, seed: int) -> Tensor:
        """Draw it, in float32."""
        ...


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SHARD_BYTES = 5_000_000_000
GAIN = 2.0  # of matrices; at 1, answers soon repeat one token
TINY_SHARD_BYTES = 65_536  # so that even a tiny checkpoint has several shards

_COMMON: Json = {
    "hidden_act": "silu",
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "max_position_embeddings": 2048,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "use_cache": True,
}
_NO_WINDOW: Json = {"sliding_window": None, "use_sliding_window": False}
TINY_CONFIGS: Mapping[str, Json] = {
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], **_COMMON, **_NO_WINDOW},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "head_dim": 16, **_COMMON, **_NO_WINDOW},
    "qwen3_moe": {
        "architectures": ["Qwen3MoeForCausalLM"],
        "decoder_sparse_step": 1,
        "head_dim": 16,
        "mlp_only_layers": [],
        "moe_intermediate_size": 16,
        "norm_topk_prob": True,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        **_COMMON,
        **_NO_WINDOW,
    },
    "llama": {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "mlp_bias": False,
        **_COMMON,
        "tie_word_embeddings": True,
    },
}


def tiny_config(model_type: str, **changes: object) -> dict[str, object]:
    """Make the config.json of a tiny checkpoint.

    Args:
        model_type: as config.json names it; one of `TINY_CONFIGS`.
        **changes: keys of config.json to be set differently.
    """
    if model_type not in TINY_CONFIGS:
        raise Unsupported(
            f"a tiny checkpoint of {model_type!r} was asked for; known are "
            f"{', '.join(sorted(TINY_CONFIGS))}."
        )
    ids = special_ids()
    return {
        "model_type": model_type,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "vocab_size": -(-num_tokens() // 32) * 32,  # padded, as released vocabularies are
        **TINY_CONFIGS[model_type],
        **changes,
    }


def write_tiny_checkpoint(
    folder: Path, model_type: str, *, seed: int = 0, dtype: str = "float32", **changes: object
) -> Path:
    """Write a kilobyte checkpoint with all the files of a released one.

    Args:
        folder: made if it is not there.
        model_type: as config.json names it; one of `TINY_CONFIGS`.
        seed: equal seeds give equal bytes.
        dtype: "float32" or "bfloat16".
        **changes: keys of config.json to be set differently.

    Returns:
        The folder.
    """
    config = tiny_config(model_type, **changes)
    return write_checkpoint(folder, config, seed=seed, dtype=dtype, shard_bytes=TINY_SHARD_BYTES)


def write_checkpoint(
    folder: Path,
    config: Json,
    *,
    seed: int = 0,
    dtype: str = "bfloat16",
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write a checkpoint of random weights for any configuration, one shard in memory at a time.

    Args:
        folder: made if it is not there.
        config: a config.json of a known family.
        seed: equal seeds give equal bytes.
        dtype: "float32" or "bfloat16".
        shard_bytes: bytes of weights after which a new shard begins.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    family = family_for_config(config)
    read = family.config_from_hf(config)
    write_weights(folder, family.tensors(read), seed=seed, dtype=dtype, shard_bytes=shard_bytes)
    ids = special_ids()
    generation = {
        "bos_token_id": ids["<|endoftext|>"],
        "do_sample": True,
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        "pad_token_id": ids["<|endoftext|>"],
        "temperature": 0.7,
        "top_k": 20,
        "top_p": 0.8,
    }
    write_json(folder / "config.json", {**config, "torch_dtype": dtype})
    write_json(folder / "generation_config.json", generation)
    write_tokenizer(folder)
    return folder


def draw(name: str, shape: tuple[int, ...], *, seed: int) -> Tensor:
    """Draw one tensor, none of it neutral; it depends on name, shape and seed alone."""
    # Hashed together, since the generator looks at the low 32 bits of a seed only.
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
    if name.endswith("bias"):
        return torch.empty(shape).normal_(0, 0.3, generator=generator)
    if len(shape) == 1:
        return torch.empty(shape).uniform_(0.5, 1.5, generator=generator)
    gain = 1.0 if "embed_tokens" in name else GAIN
    return torch.empty(shape).normal_(0, gain * shape[-1] ** -0.5, generator=generator)


def write_weights(
    folder: Path,
    tensors: Mapping[str, tuple[int, ...]],
    *,
    seed: int,
    dtype: str,
    shard_bytes: int,
    draw: Draw = draw,
    stem: str = "model",
) -> None:
    """Write random weights and their index, one shard in memory at a time.

    Args:
        folder: is there.
        tensors: names and shapes, in file order.
        seed: equal seeds give equal bytes.
        dtype: "float32" or "bfloat16".
        shard_bytes: bytes of weights after which a new shard begins.
        draw: makes one tensor.
        stem: how the files' names begin.
    """
    shards = list(_shards(tensors, DTYPES[dtype].itemsize, shard_bytes))
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file_name = f"{stem}-{number:05d}-of-{len(shards):05d}.safetensors"
        drawn = {name: draw(name, shape, seed=seed).to(DTYPES[dtype]) for name, shape in shard}
        save_file(drawn, folder / file_name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(drawn, file_name)
    total_bytes = sum(map(prod, tensors.values())) * DTYPES[dtype].itemsize
    index = {"metadata": {"total_size": total_bytes}, "weight_map": weight_map}
    write_json(folder / f"{stem}.safetensors.index.json", index)


def _shards(
    tensors: Mapping[str, tuple[int, ...]], value_bytes: int, shard_bytes: int
) -> Iterator[list[tuple[str, tuple[int, ...]]]]:
    """Split tensors into shards, each below the limit if it holds more than one tensor."""
    shard: list[tuple[str, tuple[int, ...]]] = []
    size = 0
    for name, shape in tensors.items():
        num_bytes = prod(shape) * value_bytes
        if shard and size + num_bytes > shard_bytes:
            yield shard
            shard, size = [], 0
        shard.append((name, shape))
        size += num_bytes
    yield shard


def write_json(path: Path, value: object) -> None:
    """Write a file of a folder."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
