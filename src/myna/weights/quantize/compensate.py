"""Round a matrix column by column, and let the columns still to come make up for each error.

What the columns multiply is known by a text: columns that are used together can stand in for one
another. The result is made of whole steps, so that encoding it leaves no further error.

Not here: how the activations are measured (pipeline.rounding), encoding (encode).
Source: GPTQ, arXiv:2210.17323, algorithm 1.
Differs: groups are blocks of 32 columns, whose scale is searched for when their turn comes.

Axis letters of this file: R rows · C columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from myna.kernels.scales import BLOCK_VALUES, MIN_STEP, block_scales_twin, steps_of
from myna.kernels.tiles import ROW_KINDS
from myna.weights.grouped import Stepped
from myna.weights.quantize.encode import RANGES, four_bit_scales

DAMPING = 0.01  # of the mean square of a column: arXiv:2210.17323 §3.3
KINDS = ("Q4_0", "Q4_F8", "Q5_0", "Q6_0")  # eight bits need no help


def can_compensate(kind: str) -> bool:
    """Tell whether a format gains by it."""
    return ROW_KINDS.get(kind, kind) in KINDS


def spread_of(moments: Tensor) -> Tensor:
    """Tell how the error of each column is to be spread over those behind it.

    Args:
        moments: (C, C) float32, mean products of what each two columns multiply.

    Returns:
        (C, C) float32: the upper Cholesky factor of the inverse.
    """
    mean = float(moments.diagonal().mean()) or 1.0
    damping = DAMPING
    while True:
        damped = moments.clone()
        damped.diagonal().add_(damping * mean)
        factor, is_bad = torch.linalg.cholesky_ex(damped)
        if not int(is_bad):
            inverse = torch.cholesky_inverse(factor)
            upper: Tensor
            upper, is_bad = torch.linalg.cholesky_ex(inverse, upper=True)
            if not int(is_bad):
                return upper
        damping *= 10  # of activations that are all but alike, rounding leaves too little


def compensate(values: Tensor, spread: Tensor, *, kind: str) -> Stepped:
    """Round rows of a matrix.

    Args:
        values: (R, C) float32.
        spread: (C, C) float32, as `spread_of` gives it.
        kind: the block format, whose blocks fill the rows.

    Returns:
        The rounded values, and the step of each block.
    """
    low, high = RANGES[ROW_KINDS.get(kind, kind)]
    left = values.clone()
    scales = torch.empty(values.shape[0], values.shape[1] // BLOCK_VALUES, dtype=torch.float16)
    out = torch.empty_like(values)
    for number, start in enumerate(range(0, values.shape[1], BLOCK_VALUES)):
        stop = start + BLOCK_VALUES
        block = left[:, start:stop].contiguous()  # (R, 32)
        own = spread[start:stop, start:stop]
        scale = _scale(kind, block, own.diagonal())  # (R,) float16
        errors = torch.empty_like(block)
        for column in range(BLOCK_VALUES):
            exact = block[:, column]
            step = scale.float()
            rounded = steps_of(exact, step, low, high) * step
            out[:, start + column] = rounded
            errors[:, column] = (exact - rounded) / own[column, column]
            block[:, column + 1 :] -= torch.outer(errors[:, column], own[column, column + 1 :])
        left[:, stop:] -= errors @ spread[start:stop, stop:]
        scales[:, number] = scale
    return Stepped(out, scales)


def _scale(kind: str, block: Tensor, spread: Tensor) -> Tensor:
    """Search a block's scales: (R,) float16.

    An error weighs what the other columns cannot make up for.
    """
    low, _ = RANGES[ROW_KINDS.get(kind, kind)]
    weights = spread.square().reciprocal().contiguous()
    weights = weights / weights.mean()
    if low == MIN_STEP:
        return four_bit_scales(kind, block, weights).squeeze(1)
    return block_scales_twin(block, weights, min_step=low).half()
