"""Safetensors files of packed tensors, as `myna quantize` writes them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from myna.weights.checkpoint import TensorInfo
from myna.weights.quantize.shard import spell_header
from myna.weights.safetensors_files import INDEX

SHARD_BYTES = 5 << 30


class Tensors(Protocol):
    """Give named tensors, one at a time."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """List them, in the order in which they are to lie in the files."""
        ...

    def read(self, name: str) -> Tensor:
        """Give one tensor; of blocks, their bytes."""
        ...


def write_weights(folder: Path, tensors: Tensors) -> int:
    """Write tensors in shards, one tensor in memory at a time; gives their bytes."""
    shards = list(_shards(tensors.tensors))
    weight_map: dict[str, str] = {}
    total_bytes = 0
    for number, infos in enumerate(shards, start=1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
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


def _write_shard(path: Path, infos: Mapping[str, TensorInfo], tensors: Tensors) -> int:
    """Write a shard and see it to the disk, out of the memory of files; gives its bytes."""
    with path.open("xb") as file:
        file.write(spell_header(infos))
        for name in infos:
            file.write(tensors.read(name).contiguous().flatten().view(torch.uint8).numpy().data)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return sum(info.num_bytes for info in infos.values())
