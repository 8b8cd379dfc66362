"""From floats to blocks: choose each block's scale, then round its values to the nearest steps.

Not here: what blocks spell (kernels.blocks), and which matrix gets which format (scheme).

A block of 4 bits has sixteen steps, so its scale decides the error. The largest value need not
land on the last step: over a range of scales, the values are rounded, the best scale for these
steps follows by least squares, and the scale with the least squared error of all is kept.
Source: the byte layouts of ggml's `ggml-common.h`; the search is that of `make_qx_quants` in its
    `ggml-quants.c`.
Differs: all squared errors weigh the same; both signs of the scale are tried; steps are chosen
    anew for the scale as half precision stores it.

Axis letter of this file: P blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

BLOCK_VALUES = 32
MIN_STEP, MAX_STEP = -8, 7  # what 4 bits spell
MAX_STEP_8 = 127
# Where a block's largest value may land, in steps: the other end is reached by a negative scale.
LANDINGS = (-8.0, -9.0, -8.5, -7.5, -7.0, 7.0, 7.5, 8.0)


def encode_rows(kind: str, values: Tensor) -> Tensor:
    """Encode rows.

    Args:
        kind: a key of `ENCODERS`.
        values: (..., columns) finite floats, in whole blocks.

    Returns:
        (..., row_bytes) uint8.
    """
    blocks = ENCODERS[kind](values.reshape(-1, BLOCK_VALUES).float())  # (P, bytes)
    return blocks.view(*values.shape[:-1], -1)


def _q4_0(values: Tensor) -> Tensor:
    """Encode (P, 32) float32 as (P, 18) uint8."""
    largest = values.gather(1, values.abs().argmax(1, keepdim=True))  # (P, 1), with its sign
    best = torch.zeros_like(largest)
    most = torch.full_like(largest, -1.0)
    for landing in LANDINGS:
        steps = _steps(values, largest / landing)
        dot = (values * steps).sum(1, keepdim=True)
        square = steps.square().sum(1, keepdim=True)
        gain = torch.where(square > 0, dot * dot / square, 0.0)  # by how much it lowers the error
        is_better = gain > most
        best = torch.where(is_better, torch.where(square > 0, dot / square, 0.0), best)
        most = torch.where(is_better, gain, most)
    scale = best.half()
    steps = (_steps(values, scale.float()) - MIN_STEP).to(torch.uint8)  # (P, 32)
    low, high = steps.chunk(2, dim=1)  # (P, 16) each
    return torch.cat([scale.view(torch.uint8), low | (high << 4)], dim=1)


def _q8_0(values: Tensor) -> Tensor:
    """Encode (P, 32) float32 as (P, 34) uint8."""
    scale = (values.abs().amax(1, keepdim=True) / MAX_STEP_8).half()
    steps = _steps(values, scale.float(), -MAX_STEP_8, MAX_STEP_8).to(torch.int8)
    return torch.cat([scale.view(torch.uint8), steps.view(torch.uint8)], dim=1)


def _steps(values: Tensor, scale: Tensor, low: int = MIN_STEP, high: int = MAX_STEP) -> Tensor:
    """Round values to steps of a scale; where it is zero there is one step, zero."""
    inverse = torch.where(scale == 0, 0.0, 1 / scale)
    return (values * inverse).round_().clamp_(low, high)


ENCODERS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"Q4_0": _q4_0, "Q8_0": _q8_0}
)
