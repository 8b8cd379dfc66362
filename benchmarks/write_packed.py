"""Safetensors files of packed tensors, as `myna quantize` writes them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from myna.kernels.packed import PackedWeight
from myna.weights.checkpoint import Checkpoint, TensorInfo
from myna.weights.quantize.shard import spell_header
from myna.weights.safetensors_files import INDEX

SHARD_BYTES = 5 << 30


def write_weights(folder: Path, tensors: Checkpoint, *, stem: str = "model") -> int:
    """Write tensors in shards, one tensor in memory at a time.

    Args:
        folder: is there.
        tensors: in the order in which they are to lie in the files.
        stem: how the files' names begin.

    Returns:
        Their bytes.
    """
    shards = list(_shards(tensors.tensors))
    weight_map: dict[str, str] = {}
    total_bytes = 0
    for number, infos in enumerate(shards, start=1):
        name = f"{stem}-{number:05}-of-{len(shards):05}.safetensors"
        total_bytes += _write_shard(folder / name, infos, tensors)
        weight_map |= dict.fromkeys(infos, name)
    index = {"metadata": {"total_size": total_bytes}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index) + "\n", encoding="utf-8")
    return total_bytes


def _shards(infos: Mapping[str, TensorInfo]) -> Iterator[dict[str, TensorInfo]]:
    shard: dict[str, TensorInfo] = {}
    num_bytes = 0
    for name, info in infos.items():
        if shard and num_bytes + info.num_bytes > SHARD_BYTES:
            yield shard
            shard, num_bytes = {}, 0
        shard[name] = info
        num_bytes += info.num_bytes
    yield shard


def _write_shard(path: Path, infos: Mapping[str, TensorInfo], tensors: Checkpoint) -> int:
    """Write a shard and see it to the disk, out of the memory of files; gives its bytes."""
    with path.open("xb") as file:
        file.write(spell_header(infos))
        for name in infos:
            weight = tensors.read(name)
            values = weight.data if isinstance(weight, PackedWeight) else weight
            file.write(values.contiguous().flatten().view(torch.uint8).numpy().data)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return sum(info.num_bytes for info in infos.values())
