"""Checkpoint: named tensors that can be read one at a time, wherever they come from.

Not here: the files themselves (safetensors_files, gguf) and what the names mean to a model (rules).
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from myna.core.errors import BadCheckpoint
from myna.kernels.blocks import FORMATS
from myna.kernels.packed import PackedWeight

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class TensorInfo:
    """Say what a tensor is before it is read.

    Attributes:
        dtype: a safetensors dtype ("BF16") or a block format ("Q4_0").
        shape: as PyTorch orders it, rows before columns.
        file: the name of the file that holds it.
        has_steps: whether its values are multiples of few steps, in half precision, already.
    """

    dtype: str
    shape: tuple[int, ...]
    file: str
    has_steps: bool = False

    @property
    def is_packed(self) -> bool:
        """Tell whether it is read as a `PackedWeight`."""
        return self.dtype not in DTYPES

    @property
    def num_values(self) -> int:
        """Count its numbers."""
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        """Count its bytes in the file."""
        if self.is_packed:
            block = FORMATS[self.dtype]
            return self.num_values // block.num_values * block.num_bytes
        return self.num_values * DTYPES[self.dtype].itemsize


class Checkpoint(Protocol):
    """Give named tensors, one at a time."""

    @property
    def name(self) -> str:
        """Give the path to show in errors."""
        ...

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """List every tensor, in the order in which reading is cheapest."""
        ...

    def read(self, name: str) -> Tensor | PackedWeight:
        """Read one tensor: a plain one to keep, a packed one that may be a view of the file."""
        ...

    def close(self) -> None:
        """Let go of the files; what was read stays valid."""
        ...


class MemoryCheckpoint:
    """Give the tensors of a dict: for tests and small models made in place."""

    name = "memory"

    def __init__(self, weights: Mapping[str, Tensor | PackedWeight]) -> None:
        self._weights = dict(weights)
        self.tensors: Mapping[str, TensorInfo] = {
            name: TensorInfo(
                weight.kind if isinstance(weight, PackedWeight) else NAMES[weight.dtype],
                tuple(weight.shape),
                self.name,
            )
            for name, weight in self._weights.items()
        }

    def read(self, name: str) -> Tensor | PackedWeight:
        """Read one tensor; plain ones are copied."""
        weight = self._weights[name]
        return weight if isinstance(weight, PackedWeight) else weight.detach().clone()

    def close(self) -> None:
        """Do nothing."""


class MetaCheckpoint:
    """Give names, dtypes and shapes without values: the layout of a released checkpoint.

    Args:
        layout: tensor name -> (dtype, shape).
        name: what to call it in errors.
    """

    def __init__(
        self, layout: Mapping[str, tuple[str, Sequence[int]]], *, name: str = "layout"
    ) -> None:
        self.name = name
        self.tensors: Mapping[str, TensorInfo] = {
            tensor: TensorInfo(dtype, tuple(shape), name)
            for tensor, (dtype, shape) in layout.items()
        }

    @classmethod
    def from_file(cls, path: Path) -> MetaCheckpoint:
        """Read a layout from gzipped JSON: `{name: [dtype, shape]}`."""
        try:
            layout = json.loads(gzip.decompress(path.read_bytes()))
            return cls(layout, name=path.name)
        except (OSError, EOFError, zlib.error, ValueError, TypeError, AttributeError) as error:
            raise BadCheckpoint(f"{path} is not a gzipped JSON layout: {error}") from error

    def read(self, name: str) -> Tensor:
        """Make a tensor without storage."""
        info = self.tensors[name]
        dtype = torch.float32 if info.is_packed else DTYPES[info.dtype]
        return torch.empty(info.shape, dtype=dtype, device="meta")

    def close(self) -> None:
        """Do nothing."""
