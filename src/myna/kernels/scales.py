"""Scales of blocks: which one makes the error least, and how eight bits spell it.

A block's largest value need not land on the last step: over a range of places where it may land,
the values are rounded to steps, the best scale for these steps follows by least squares, and the
one with the least squared error of all is kept.

A scale of eight bits is a number in half precision without its highest exponent bit and the last
seven of its mantissa: a sign, four bits of exponent, three of mantissa, below 2.

Not here: steps and bytes (weights.quantize).
Source: `make_qx_quants` of ggml's `ggml-quants.c`.
Differs: squared errors weigh the same unless callers weigh columns; both signs are tried.

Axis letter of this file: P blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign

import torch
from torch import Tensor

from myna.kernels.native import Native, is_plain, native

BLOCK_VALUES = 32
MIN_STEP, MAX_STEP = -8, 7  # what 4 bits spell
MAX_SHORT_SCALE = 1.875  # the largest that eight bits spell
CUT_BITS = 7  # of a mantissa in half precision
# Where a block's largest value may land, in steps: the other end is reached by a negative scale.
LANDINGS = (-8.0, -9.0, -8.5, -7.5, -7.0, 7.0, 7.5, 8.0)


def block_scales(values: Tensor, importance: Tensor | None = None) -> Tensor:
    """Find the best scales.

    Args:
        values: (P, 32) float32, whole rows one after another.
        importance: (columns,) float32, what a squared error in each column weighs; `None` weighs
            all alike.

    Returns:
        (P,) float32.
    """
    kernels = _kernels_for(values, importance)
    if kernels is None:
        return block_scales_twin(values, importance)
    scales = torch.empty(len(values))
    _search(kernels, kernels.block_scales, values, importance, scales)
    return scales


def block_scales_twin(
    values: Tensor, importance: Tensor | None = None, *, min_step: int = MIN_STEP
) -> Tensor:
    """Compute the same with torch's own operations; also for steps from another `min_step` on."""
    weights = _weights(importance, len(values))
    largest = values.gather(1, values.abs().argmax(1, keepdim=True))  # (P, 1), with its sign
    best = torch.zeros_like(largest)
    most = torch.full_like(largest, -1.0)
    for landing in LANDINGS:
        scale = largest / (landing + copysign(MIN_STEP - min_step, landing))
        steps = steps_of(values, scale, min_step, -min_step - 1)
        dot = (weights * values * steps).sum(1, keepdim=True)
        square = (weights * steps.square()).sum(1, keepdim=True)
        gain = torch.where(square > 0, dot * dot / square, 0.0)  # by how much it lowers the error
        is_better = gain > most
        best = torch.where(is_better, torch.where(square > 0, dot / square, 0.0), best)
        most = torch.where(is_better, gain, most)
    return best.squeeze(1)


def scales_of_bytes(data: Tensor) -> Tensor:
    """Read scales of eight bits: uint8 of any shape -> float16 of it."""
    wide = data.short()
    return (((wide & 0x80) << 8) | ((wide & 0x7F) << CUT_BITS)).view(torch.float16)


def bytes_of_scales(scales: Tensor) -> Tensor:
    """Spell scales in eight bits, the nearest there are: floats of any shape -> uint8 of it.

    What is larger than all of them becomes the largest.
    """
    bits = scales.abs().clamp(max=MAX_SHORT_SCALE).half().view(torch.int16)
    is_odd = (bits >> CUT_BITS) & 1  # of two that are as near, the even one
    short = (bits + (1 << CUT_BITS - 1) - 1 + is_odd) >> CUT_BITS
    return torch.where(scales < 0, short | 0x80, short).to(torch.uint8)


def short_scales(values: Tensor, scales: Tensor, importance: Tensor | None = None) -> Tensor:
    """Choose among the scales of eight bits next to those that were found the one of least error.

    A scale that is too small by one step of its own cuts the largest values off.

    Args:
        values: (P, 32) float32, whole rows one after another.
        scales: (P,) float32, the best ones if they could be any.
        importance: as for `block_scales`.

    Returns:
        (P, 1) float16.
    """
    kernels = _kernels_for(values, importance)
    if kernels is None:
        return short_scales_twin(values, scales, importance)
    data = bytes_of_scales(scales)
    _search(kernels, kernels.short_scales, values, importance, data)
    return scales_of_bytes(data).unsqueeze(1)


def short_scales_twin(values: Tensor, scales: Tensor, importance: Tensor | None = None) -> Tensor:
    """Compute the same with torch's own operations."""
    weights = _weights(importance, len(values))
    nearest = bytes_of_scales(scales).short().unsqueeze(1)  # (P, 1)
    sign, size = nearest & 0x80, nearest & 0x7F
    best = torch.zeros_like(scales.unsqueeze(1), dtype=torch.float16)
    least = torch.full_like(best, torch.inf, dtype=torch.float32)
    for neighbour in (0, 1, -1):
        short = (size + neighbour).clamp_(0, 0x7F) | sign
        scale = scales_of_bytes(short)
        left = steps_of(values, scale.float()) * scale.float() - values
        error = (weights * left.square()).sum(1, keepdim=True)
        best = torch.where(error < least, scale, best)
        least = torch.minimum(error, least)
    return best


def _kernels_for(values: Tensor, importance: Tensor | None) -> Native | None:
    """Give the kernels if they can read these."""
    kernels = native()
    plain = [values] if importance is None else [values, importance]
    return kernels if all(map(is_plain, plain)) else None


def _search(
    kernels: Native,
    kernel: Callable[..., None],
    values: Tensor,
    importance: Tensor | None,
    scales: Tensor,
) -> None:
    """Run a search that writes `scales`."""
    kernel(
        kernels.level,
        torch.get_num_threads(),
        values.data_ptr(),
        None if importance is None else importance.data_ptr(),
        scales.data_ptr(),
        len(values),
        1 if importance is None else importance.numel() // BLOCK_VALUES,
    )


def steps_of(values: Tensor, scale: Tensor, low: int = MIN_STEP, high: int = MAX_STEP) -> Tensor:
    """Round values to steps of a scale; where it is zero there is one step, zero."""
    inverse = torch.where(scale == 0, 0.0, 1 / scale)
    return (values * inverse).round_().clamp_(low, high)


def _weights(importance: Tensor | None, num_blocks: int) -> Tensor:
    """Say what a squared error weighs: (num_blocks or 1, 32) float32."""
    if importance is None:
        return torch.ones(1, BLOCK_VALUES)
    rows = importance.view(-1, BLOCK_VALUES)
    return rows.repeat(num_blocks // len(rows), 1)
