"""Products of activations rounded to 8 bits: the twin of what the compiled kernels do.

Each block of 32 activations is rounded to steps of its largest value / 127. The products of steps
are summed as integers, block by block, and only these sums are scaled: so the integers are the
same on every machine, and floats differ by the order of few sums.

Not here: the kernels themselves (fused), the block formats (blocks).
Source: the idea is that of ggml's `Q8_0` activations.

Axis letter of this file: P blocks of a row.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_VALUES = 32
MAX_STEP = 127
# Blocks whose values are all smaller count as zeros; their steps could not be computed.
NOTHING = 1e-30


def round_activations(x: Tensor) -> tuple[Tensor, Tensor]:
    """Round (M, K) to steps (M, P, 32) int8 and scales (M, P) float32."""
    blocks = x.float().view(*x.shape[:-1], -1, BLOCK_VALUES)  # (M, P, 32)
    peaks = blocks.abs().amax(-1)  # (M, P)
    inverse = torch.where(peaks < NOTHING, 0.0, MAX_STEP / peaks)
    steps = (blocks * inverse.unsqueeze(-1)).round().to(torch.int8)
    return steps, peaks / MAX_STEP


def rounded_linear(x: Tensor, steps: Tensor, scales: Tensor) -> Tensor:
    """Multiply rounded activations by a matrix of steps.

    Args:
        x: (M, K), to be rounded.
        steps: (N, P, 32) int8, the matrix's.
        scales: (N, P) float32, the matrix's.

    Returns:
        (M, N) float32.
    """
    x_steps, x_scales = round_activations(x)
    sums = torch.einsum("mpi,npi->mnp", x_steps.double(), steps.double())  # exact integers
    return (sums.float() * (x_scales[:, None] * scales)).sum(-1)
