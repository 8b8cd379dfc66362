"""Products of a few rows with a large bfloat16 matrix: decoding, bound by the speed of memory.

Not here: quantized matrices (packed), and products of many rows, where torch's own are as fast as
the machine.
"""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from myna.kernels.native import Native, is_plain, native

# Up to this many rows the kernel outruns torch; benchmarks/kernels.py measures where that ends.
MAX_ROWS = MappingProxyType(
    {
        "avx512_bf16": 12,
        "avx512_vnni": 8,
        "avx512": 8,
        "avx_vnni": 2,
        "avx2": 2,
        "dotprod": 1,
        "baseline": 1,
    }
)


def linear_bf16(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply by a bfloat16 matrix: `F.linear`, faster for a few rows.

    Sums are in float32, in an order that does not depend on the number of rows: as long as the
    kernel serves it, a row's result is the same whatever rows stand beside it. What the kernel
    cannot serve (other types or devices, gradients, many rows) goes to `F.linear`.

    Args:
        x: (..., K) bfloat16.
        weight: (N, K) bfloat16.
        bias: (N,) bfloat16.

    Returns:
        (..., N) bfloat16.
    """
    kernels = native()
    if kernels is None or not _fits(kernels, x, weight, bias):
        return F.linear(x, weight, bias)
    return linear_bf16_native(kernels, x.contiguous(), weight, bias)


def linear_bf16_native(
    kernels: Native, x: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Run the kernel itself, with any number of rows; the caller knows that all are plain."""
    num_rows, width = weight.shape
    out = x.new_empty(*x.shape[:-1], num_rows)
    kernels.linear_bf16(
        kernels.level,
        torch.get_num_threads(),
        x.data_ptr(),
        weight.data_ptr(),
        None if bias is None else bias.data_ptr(),
        out.data_ptr(),
        x.numel() // width,
        num_rows,
        width,
    )
    return out


def _fits(kernels: Native, x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    bfloat16 = torch.bfloat16
    if x.dtype is not bfloat16 or weight.dtype is not bfloat16 or weight.ndim != 2:
        return False
    width = weight.shape[1]
    if x.shape[-1] != width or x.numel() > MAX_ROWS[kernels.name] * width or width == 0:
        return False
    if bias is not None and not (
        bias.dtype is bfloat16 and bias.shape == weight.shape[:1] and is_plain(bias)
    ):
        return False
    return x.is_cpu and not x.requires_grad and is_plain(weight)
