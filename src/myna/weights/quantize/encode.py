"""From floats to blocks: each block's scale, then its values rounded to the nearest steps.

Not here: what blocks spell (kernels.blocks), how the scale is chosen (kernels.scales), and which
matrix gets which format (scheme).

Source: the byte layouts of ggml's `ggml-common.h`.

Axis letter of this file: P blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from myna.kernels.scales import (
    BLOCK_VALUES,
    MIN_STEP,
    block_scales,
    block_scales_twin,
    steps_of,
)
from myna.kernels.tiles import ROW_KINDS, tile

MIN_STEP_5 = -16
MIN_STEP_6 = -32
MAX_STEP_8 = 127


def encode_rows(kind: str, values: Tensor, importance: Tensor | None = None) -> Tensor:
    """Encode rows.

    Args:
        kind: `Q4_0`, `Q5_0`, `Q6_0` or `Q8_0`, or the tiled kind of one.
        values: (..., columns) finite floats, in whole blocks; of a tiled kind, in whole tiles.
        importance: (columns,) float32, what an error in each column weighs; `None` weighs all
            alike. Eight bits need none.

    Returns:
        (..., row_bytes) uint8.
    """
    row_kind = ROW_KINDS.get(kind, kind)
    flat = values.reshape(-1, BLOCK_VALUES).float().contiguous()  # (P, 32)
    match row_kind:  # (P, bytes)
        case "Q4_0":
            blocks = _q4_0(flat, importance)
        case "Q5_0":
            blocks = _q5_0(flat, importance)
        case "Q6_0":
            blocks = _q6_0(flat, importance)
        case _:
            blocks = _q8_0(flat)
    rows = blocks.view(*values.shape[:-1], -1)
    return rows if row_kind == kind else tile(rows, blocks.shape[1])


def _q4_0(values: Tensor, importance: Tensor | None) -> Tensor:
    """Encode (P, 32) float32 as (P, 18) uint8."""
    scale = block_scales(values, importance).half().unsqueeze(1)
    steps = (steps_of(values, scale.float()) - MIN_STEP).to(torch.uint8)  # (P, 32)
    low, high = steps.chunk(2, dim=1)  # (P, 16) each
    return torch.cat([scale.view(torch.uint8), low | (high << 4)], dim=1)


def _q5_0(values: Tensor, importance: Tensor | None) -> Tensor:
    """Encode (P, 32) float32 as (P, 22) uint8: the fifth bits come first, a bit for each value."""
    scale = block_scales_twin(values, importance, min_step=MIN_STEP_5).half().unsqueeze(1)
    steps = steps_of(values, scale.float(), MIN_STEP_5, -MIN_STEP_5 - 1) - MIN_STEP_5  # (P, 32)
    low, high = (steps % 16).to(torch.uint8).chunk(2, dim=1)  # (P, 16) each
    fifth = (steps >= 16).view(-1, 4, 8) << torch.arange(8)  # (P, 4, 8)
    fifth = fifth.sum(2).to(torch.uint8)
    return torch.cat([scale.view(torch.uint8), fifth, low | (high << 4)], dim=1)


def _q6_0(values: Tensor, importance: Tensor | None) -> Tensor:
    """Encode (P, 32) float32 as (P, 26) uint8: the high bits of four values make a byte."""
    scale = block_scales_twin(values, importance, min_step=MIN_STEP_6).half().unsqueeze(1)
    steps = steps_of(values, scale.float(), MIN_STEP_6, -MIN_STEP_6 - 1) - MIN_STEP_6  # (P, 32)
    low, high = (steps % 16).to(torch.uint8).chunk(2, dim=1)  # (P, 16) each
    first, second = (steps // 16).to(torch.uint8).chunk(2, dim=1)  # (P, 16) each
    near, far = (first | second << 2).chunk(2, dim=1)  # (P, 8) each
    parts = [scale.view(torch.uint8), near | (far << 4), low | (high << 4)]
    return torch.cat(parts, dim=1)


def _q8_0(values: Tensor) -> Tensor:
    """Encode (P, 32) float32 as (P, 34) uint8."""
    scale = (values.abs().amax(1, keepdim=True) / MAX_STEP_8).half()
    steps = steps_of(values, scale.float(), -MAX_STEP_8, MAX_STEP_8).to(torch.int8)
    return torch.cat([scale.view(torch.uint8), steps.view(torch.uint8)], dim=1)
