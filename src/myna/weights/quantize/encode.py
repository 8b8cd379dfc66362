"""From floats to blocks: each block's scale, then its values rounded to the nearest steps.

Not here: what blocks spell (kernels.blocks), how the scale is chosen (kernels.scales), and which
matrix gets which format (scheme).

Source: the byte layouts of ggml's `ggml-common.h`.

Axis letter of this file: P blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from myna.kernels.scales import (
    BLOCK_VALUES,
    MAX_SHORT_SCALE,
    MIN_STEP,
    block_scales,
    block_scales_twin,
    bytes_of_scales,
    scales_of_bytes,
    short_scales,
    steps_of,
)
from myna.kernels.tiles import ROW_KINDS, tile

MIN_STEP_5 = -16
MIN_STEP_6 = -32
MAX_STEP_8 = 127
RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "Q4_0": (MIN_STEP, -MIN_STEP - 1),
        "Q4_F8": (MIN_STEP, -MIN_STEP - 1),
        "Q5_0": (MIN_STEP_5, -MIN_STEP_5 - 1),
        "Q6_0": (MIN_STEP_6, -MIN_STEP_6 - 1),
        "Q8_0": (-MAX_STEP_8, MAX_STEP_8),
    }
)
SHORT_SCALES = ("Q4_F8",)
MAX_SCALE = torch.finfo(torch.float16).max


def largest_value(kind: str) -> float:
    """Give the largest number that blocks of a kind can spell."""
    scale = MAX_SHORT_SCALE if _is_short(kind) else MAX_SCALE
    return scale * max(map(abs, RANGES[ROW_KINDS.get(kind, kind)]))


def round_scales(kind: str, scales: Tensor) -> Tensor:
    """Round scales to what blocks of a kind can spell: floats of any shape -> float16 of it."""
    return scales_of_bytes(bytes_of_scales(scales)) if _is_short(kind) else scales.half()


def spell_scales(kind: str, scales: Tensor) -> Tensor:
    """Give the bytes with which blocks begin: (P, 1) float16 -> (P, 1 or 2) uint8."""
    return bytes_of_scales(scales) if _is_short(kind) else scales.view(torch.uint8)


def four_bit_scales(kind: str, values: Tensor, importance: Tensor | None = None) -> Tensor:
    """Find the best scales of 4-bit blocks that a kind can spell.

    Args:
        kind: `Q4_0` or `Q4_F8`, or the tiled kind of one.
        values: (P, 32) float32, whole rows one after another.
        importance: (columns,) float32, what a squared error in each column weighs, or `None`.

    Returns:
        (P, 1) float16.
    """
    found = block_scales(values, importance)
    if _is_short(kind):
        return short_scales(values, found, importance)
    return found.half().unsqueeze(1)


def _is_short(kind: str) -> bool:
    """Tell whether blocks of a kind have scales of eight bits."""
    return ROW_KINDS.get(kind, kind) in SHORT_SCALES


def encode_rows(
    kind: str, values: Tensor, importance: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    """Encode rows.

    Args:
        kind: `Q4_0`, `Q4_F8`, `Q5_0`, `Q6_0` or `Q8_0`, or the tiled kind of one.
        values: (..., columns) finite floats, in whole blocks; of a tiled kind, in whole tiles.
        importance: (columns,) float32, what an error in each column weighs; `None` weighs all
            alike. Eight bits need none.
        steps: (..., columns/32) float16, of which the values of a block may be whole multiples; if
            they are, and not too large ones, the block is exact.

    Returns:
        (..., row_bytes) uint8.
    """
    row_kind = ROW_KINDS.get(kind, kind)
    low, high = RANGES[row_kind]
    flat = values.reshape(-1, BLOCK_VALUES).float().contiguous()  # (P, 32)
    scale = _scales(flat, row_kind, importance)  # (P, 1) float16
    if steps is not None:
        own = round_scales(kind, steps.reshape(-1, 1))
        scale = _exact(flat, own, scale, low, high)
    numbers = steps_of(flat, scale.float(), low, high)  # (P, 32)
    blocks = torch.cat([spell_scales(kind, scale), PACK[row_kind](numbers)], dim=1)  # (P, bytes)
    rows = blocks.view(*values.shape[:-1], -1)
    return rows if row_kind == kind else tile(rows, blocks.shape[1])


def _scales(values: Tensor, row_kind: str, importance: Tensor | None) -> Tensor:
    """Choose the scale of each block (P, 32) float32: (P, 1) float16."""
    low, high = RANGES[row_kind]
    if row_kind == "Q8_0":
        return (values.abs().amax(1, keepdim=True) / high).half()
    if low == MIN_STEP:
        return four_bit_scales(row_kind, values, importance)
    return block_scales_twin(values, importance, min_step=low).half().unsqueeze(1)


def _exact(values: Tensor, steps: Tensor, found: Tensor, low: int, high: int) -> Tensor:
    """Take a block's own step instead of the one found, wherever that leaves no error."""
    own = steps.float()
    is_exact = (steps_of(values, own, low, high) * own == values).all(1, keepdim=True)
    return torch.where(is_exact, steps, found)


def _pack_4(numbers: Tensor) -> Tensor:
    """Pack (P, 32) numbers of 4 bits: (P, 16) uint8."""
    low, high = (numbers - MIN_STEP).to(torch.uint8).chunk(2, dim=1)  # (P, 16) each
    return low | (high << 4)


def _pack_5(numbers: Tensor) -> Tensor:
    """Pack (P, 32) numbers of 5 bits, the fifth bits first: (P, 20) uint8."""
    numbers = numbers - MIN_STEP_5
    low, high = (numbers % 16).to(torch.uint8).chunk(2, dim=1)  # (P, 16) each
    fifth = (numbers >= 16).view(-1, 4, 8) << torch.arange(8)  # (P, 4, 8)
    return torch.cat([fifth.sum(2).to(torch.uint8), low | (high << 4)], dim=1)


def _pack_6(numbers: Tensor) -> Tensor:
    """Pack (P, 32) numbers of 6 bits, the high bits of four in a byte first: (P, 24) uint8."""
    numbers = numbers - MIN_STEP_6
    low, high = (numbers % 16).to(torch.uint8).chunk(2, dim=1)  # (P, 16) each
    first, second = (numbers // 16).to(torch.uint8).chunk(2, dim=1)  # (P, 16) each
    near, far = (first | second << 2).chunk(2, dim=1)  # (P, 8) each
    return torch.cat([near | (far << 4), low | (high << 4)], dim=1)


def _pack_8(numbers: Tensor) -> Tensor:
    """Pack (P, 32) numbers of 8 bits: (P, 32) uint8."""
    return numbers.to(torch.int8).view(torch.uint8)


PACK: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"Q4_0": _pack_4, "Q4_F8": _pack_4, "Q5_0": _pack_5, "Q6_0": _pack_6, "Q8_0": _pack_8}
)
