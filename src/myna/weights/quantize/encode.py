"""From floats to blocks: each block's scale, then its values rounded to the nearest steps.

Not here: what blocks spell (kernels.blocks), how the scale is chosen (kernels.scales), and which
matrix gets which format (scheme).

Source: the byte layouts of ggml's `ggml-common.h`.

Axis letter of this file: P blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from myna.kernels.scales import BLOCK_VALUES, MIN_STEP, block_scales, steps_of
from myna.kernels.tiles import ROW_KINDS, tile

MAX_STEP_8 = 127


def encode_rows(kind: str, values: Tensor, importance: Tensor | None = None) -> Tensor:
    """Encode rows.

    Args:
        kind: `Q4_0` or `Q8_0`, or the tiled kind of either.
        values: (..., columns) finite floats, in whole blocks; of a tiled kind, in whole tiles.
        importance: (columns,) float32, what an error in each column weighs; `None` weighs all
            alike. Eight bits need none.

    Returns:
        (..., row_bytes) uint8.
    """
    row_kind = ROW_KINDS.get(kind, kind)
    flat = values.reshape(-1, BLOCK_VALUES).float().contiguous()  # (P, 32)
    blocks = _q4_0(flat, importance) if row_kind == "Q4_0" else _q8_0(flat)  # (P, bytes)
    rows = blocks.view(*values.shape[:-1], -1)
    return rows if row_kind == kind else tile(rows, blocks.shape[1])


def _q4_0(values: Tensor, importance: Tensor | None) -> Tensor:
    """Encode (P, 32) float32 as (P, 18) uint8."""
    scale = block_scales(values, importance).half().unsqueeze(1)
    steps = (steps_of(values, scale.float()) - MIN_STEP).to(torch.uint8)  # (P, 32)
    low, high = steps.chunk(2, dim=1)  # (P, 16) each
    return torch.cat([scale.view(torch.uint8), low | (high << 4)], dim=1)


def _q8_0(values: Tensor) -> Tensor:
    """Encode (P, 32) float32 as (P, 34) uint8."""
    scale = (values.abs().amax(1, keepdim=True) / MAX_STEP_8).half()
    steps = steps_of(values, scale.float(), -MAX_STEP_8, MAX_STEP_8).to(torch.int8)
    return torch.cat([scale.view(torch.uint8), steps.view(torch.uint8)], dim=1)
