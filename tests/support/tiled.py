"""Random matrices in tiled blocks, and what they spell."""

from __future__ import annotations

import torch
from torch import Tensor

from myna.kernels import blocks
from myna.kernels.packed import PackedWeight
from myna.kernels.scales import scales_of_bytes
from myna.kernels.tiles import ROW_KINDS, scale_bytes, tile
from myna.weights.quantize.encode import spell_scales


def draw_rows(kind: str, rows: int, columns: int, *, seed: int = 0) -> Tensor:
    """Draw rows of blocks, row by row, with scales of ordinary size."""
    block = blocks.FORMATS[kind]
    generator = torch.Generator().manual_seed(seed)
    shape = (rows * columns // block.num_values, block.num_bytes)
    data = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    scales = torch.rand(len(data), 1, generator=generator).half() * 0.02 + 0.001
    spelt = spell_scales(kind, scales)
    data[:, : spelt.shape[1]] = spelt
    return data.view(rows, -1)


def draw_packed(kind: str, rows: int, columns: int, *, seed: int = 0) -> PackedWeight:
    """Draw a packed matrix of any block-32 kind, tiled or not."""
    data = draw_rows(ROW_KINDS.get(kind, kind), rows, columns, seed=seed)
    if kind in ROW_KINDS:
        data = tile(data, blocks.FORMATS[kind].num_bytes)
    return PackedWeight(kind, data, None, (rows, columns))


def steps_and_scales(data: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Take rows of blocks with a scale apart: steps (N, P, 32) int8, scales (N, P) float32."""
    found = data.view(len(data), -1, blocks.FORMATS[kind].num_bytes)
    start = found[..., : scale_bytes(found.shape[-1])].contiguous()
    halves = start.view(torch.float16) if start.shape[-1] == 2 else scales_of_bytes(start)
    scales = halves.float().squeeze(-1)
    values = blocks.decode_rows(kind, data).view(len(data), -1, 32)
    return (values / scales.unsqueeze(-1)).round().to(torch.int8), scales
