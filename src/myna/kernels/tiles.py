"""Tiled formats: sixteen rows of blocks side by side: one vector holds a number of each row.

A tile takes as many bytes as its rows would row by row. First come the scales, (blocks, 16), of two
bytes or of one, then the steps, four columns of each row at a time: (blocks, fours, 16, 4). Of
4-bit steps, a byte holds one of a block's first half below one of its second half, as in Q4_0; of
6-bit steps, two more vectors hold the high bits and come first.

Not here: what the blocks of a row spell (blocks), products (packed).

Axis letters of this file: T tiles · P blocks of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

TILE_ROWS = 16
LANE_BYTES = 4
# Of each tiled format, the format of its rows.
ROW_KINDS: Mapping[str, str] = MappingProxyType(
    {"Q4_0_R16": "Q4_0", "Q4_F8_R16": "Q4_F8", "Q6_0_R16": "Q6_0", "Q8_0_R16": "Q8_0"}
)
TILED_KINDS: Mapping[str, str] = MappingProxyType({row: tiled for tiled, row in ROW_KINDS.items()})


def scale_bytes(block_bytes: int) -> int:
    """Give the bytes of the scale that a block begins with; its steps come in fours."""
    return block_bytes % LANE_BYTES


def tile(data: Tensor, block_bytes: int) -> Tensor:
    """Set rows of blocks side by side: (..., rows, row_bytes) -> the same shape, uint8."""
    blocks = _cut(data, block_bytes)  # (T, 16, P, block_bytes)
    num_tiles, _, num_blocks, _ = blocks.shape
    # Lanes are moved as integers of their size: faster than byte by byte.
    start = scale_bytes(block_bytes)
    scale = torch.int16 if start == torch.int16.itemsize else torch.uint8
    scales = blocks[..., :start].contiguous().view(scale)  # (T, 16, P, 1)
    steps = blocks[..., start:].contiguous().view(torch.int32)  # (T, 16, P, fours)
    out = torch.empty_like(data, memory_format=torch.contiguous_format).view(num_tiles, -1)
    split = num_blocks * TILE_ROWS * start
    upper, lower = out[:, :split].view(scale), out[:, split:].view(torch.int32)
    upper.view(num_tiles, num_blocks, TILE_ROWS).copy_(scales.squeeze(-1).transpose(1, 2))
    lower.view(num_tiles, num_blocks, -1, TILE_ROWS).copy_(steps.permute(0, 2, 3, 1))
    return out.view(data.shape)


def untile(data: Tensor, block_bytes: int) -> Tensor:
    """Undo `tile`."""
    row_bytes = data.shape[-1]
    num_blocks = row_bytes // block_bytes
    flat = data.reshape(-1, TILE_ROWS * row_bytes)  # (T, bytes)
    scales, steps = _parts(flat, num_blocks, scale_bytes(block_bytes))
    scales = scales.transpose(1, 2)  # (T, 16, P, bytes of a scale)
    steps = steps.permute(0, 3, 1, 2, 4).flatten(3)  # (T, 16, P, all other bytes)
    return torch.cat((scales, steps), dim=-1).view(data.shape)


def tiled_scales(data: Tensor, block_bytes: int) -> Tensor:
    """Give the scales of tiled rows, in half precision: (T, P * 16) float16."""
    row_bytes = data.shape[-1]
    num_bytes = row_bytes // block_bytes * TILE_ROWS * scale_bytes(block_bytes)
    flat = data.reshape(-1, TILE_ROWS * row_bytes)[:, :num_bytes]
    return flat.contiguous().view(torch.float16)


def tiled_rows(data: Tensor, ids: Tensor, block_bytes: int) -> Tensor:
    """Take rows out of their tiles.

    Args:
        data: (rows, row_bytes) uint8, tiled.
        ids: (...,) int64, which rows.
        block_bytes: of the format.

    Returns:
        (..., row_bytes) uint8, row by row.
    """
    row_bytes = data.shape[-1]
    num_blocks = row_bytes // block_bytes
    tiles = data.view(-1, TILE_ROWS * row_bytes)
    tile_ids, places = ids.flatten() // TILE_ROWS, ids.flatten() % TILE_ROWS
    scales, steps = _parts(tiles, num_blocks, scale_bytes(block_bytes))
    found = torch.cat(
        (scales[tile_ids, :, places], steps[tile_ids, :, :, places].flatten(2)), dim=-1
    )
    return found.view(*ids.shape, row_bytes)


def _parts(tiles: Tensor, num_blocks: int, start: int) -> tuple[Tensor, Tensor]:
    """Tell scales (T, P, 16, start) from steps (T, P, fours, 16, 4) in tiles, as views.

    Args:
        tiles: (T, bytes).
        num_blocks: of a row.
        start: the bytes of a scale.
    """
    split = num_blocks * TILE_ROWS * start
    num_fours = (tiles.shape[1] - split) // (num_blocks * TILE_ROWS * LANE_BYTES)
    scales = tiles[:, :split].view(-1, num_blocks, TILE_ROWS, start)
    steps = tiles[:, split:].view(-1, num_blocks, num_fours, TILE_ROWS, LANE_BYTES)
    return scales, steps


def _cut(data: Tensor, block_bytes: int) -> Tensor:
    return data.reshape(-1, TILE_ROWS, data.shape[-1] // block_bytes, block_bytes)
