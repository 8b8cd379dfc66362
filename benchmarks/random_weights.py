"""Random weights that behave as trained ones do where it matters for speed and memory.

All tensors are cut from two pools, each at a place of its own, so that rows and experts differ:
else tokens would meet but a few experts, and the others would take no memory. Products are about as
large as what goes into them.

Not here: which tensors a model has (released), and their files (random_model).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from myna.kernels.blocks import FORMATS
from myna.kernels.packed import PackedWeight
from myna.kernels.tiles import ROW_KINDS, TILE_ROWS
from myna.weights.checkpoint import TensorInfo
from myna.weights.quantize.encode import round_scales, spell_scales
from myna.weights.quantize.scheme import Recipe, matrix_shape

POOL_VALUES = 1 << 26
SPREAD = 0.02  # of norms about 1, and of biases about 0
# Of each format, the root mean square of its steps.
STEPS = {"Q4_0": 4.3, "Q4_F8": 4.3, "Q5_0": 9.2, "Q6_0": 18.5, "Q8_0": 74.0}


class RandomWeights:
    """Draw tensors by their names; equal names and shapes give equal tensors."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self._noise = torch.randn(POOL_VALUES // 8, generator=generator).bfloat16()
        # Without zeros: four-bit steps then have no mean. The least mean of a matrix grows from
        # layer to layer, until all tokens point the same way and meet the same experts.
        low, high = torch.randint(1, 16, (2, POOL_VALUES), dtype=torch.uint8, generator=generator)
        self._bytes = low | (high << 4)

    def floats(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Draw a matrix, a norm or a bias in bfloat16."""
        values = _cut(self._noise, name, math.prod(shape)).view(shape)
        if name.endswith("bias"):
            return values * SPREAD
        if len(shape) == 1:
            return values * SPREAD + 1
        return values * math.prod(shape[1:]) ** -0.5

    def blocks(self, name: str, kind: str, shape: tuple[int, ...]) -> Tensor:
        """Draw the blocks of a matrix, in rows or in tiles: (..., bytes of a row) uint8."""
        row_kind, columns, block = ROW_KINDS.get(kind, kind), shape[-1], FORMATS[kind]
        scale = round_scales(kind, torch.tensor([[columns**-0.5 / STEPS[row_kind]]]))
        spelt = spell_scales(kind, scale).flatten()
        data = _cut(self._bytes, name, math.prod(shape[:-1]) * block.row_bytes(columns))
        if row_kind == kind:
            data.view(-1, block.num_bytes)[:, : len(spelt)] = spelt
        else:
            num_scales = TILE_ROWS * columns // block.num_values
            tiles = data.view(-1, num_scales * block.num_bytes)
            tiles[:, : len(spelt) * num_scales] = spelt.repeat(num_scales)
        return data.view(*shape[:-1], -1)


class RandomCheckpoint:
    """Draw tensors when they are asked for; a `Checkpoint` that takes no room.

    Args:
        tensors: what each is, blocks or floats in bfloat16.
        weights: draws them.
    """

    name = "random"

    def __init__(self, tensors: Mapping[str, TensorInfo], weights: RandomWeights) -> None:
        self.tensors = tensors
        self._weights = weights

    def read(self, name: str) -> Tensor | PackedWeight:
        """Draw one tensor; its memory is its own."""
        info = self.tensors[name]
        if not info.is_packed:
            return self._weights.floats(name, info.shape)
        blocks = self._weights.blocks(name, info.dtype, info.shape)
        return PackedWeight(info.dtype, blocks, None, info.shape)

    def close(self) -> None:
        """Do nothing."""


def as_quantized(
    tensors: Mapping[str, Sequence[int]], recipe: Recipe | None
) -> dict[str, TensorInfo]:
    """Describe released tensors as `myna quantize` writes them.

    Args:
        tensors: their shapes, by name.
        recipe: which become blocks; None leaves all of them as they were, in bfloat16.
    """
    infos = {name: TensorInfo("BF16", tuple(shape), "") for name, shape in tensors.items()}
    if recipe is None:
        return infos
    kinds = {name: recipe.choose(name, info).kind for name, info in infos.items()}
    packed = {
        name: TensorInfo(kind, matrix_shape(name, infos[name].shape), "")
        for name, kind in kinds.items()
        if kind is not None
    }
    return infos | packed


def _cut(pool: Tensor, name: str, count: int) -> Tensor:
    """Copy values from a pool, from a place that the name settles."""
    out = torch.empty(count, dtype=pool.dtype)
    place, done = zlib.crc32(name.encode()) % len(pool), 0
    while done < count:
        piece = pool[place : place + count - done]
        out[done : done + len(piece)] = piece
        place, done = 0, done + len(piece)
    return out
