"""Products with packed blocks that are decoded in registers, and blocks written out at full speed.

Not here: what a packed matrix is, and the twins of these kernels (packed, blocks). Both functions
answer `None` where the compiled kernels cannot serve, and the caller runs the twin.
"""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import Tensor

from myna.kernels.native import DTYPES, is_plain, native

# The kernels' own names of block formats: (number, values in a block, bytes in a block).
FORMATS = MappingProxyType(
    {
        "Q4_0": (0, 32, 18),
        "Q4_1": (1, 32, 20),
        "Q5_0": (2, 32, 22),
        "Q5_1": (3, 32, 24),
        "Q8_0": (4, 32, 34),
        "Q2_K": (5, 256, 84),
        "Q3_K": (6, 256, 110),
        "Q4_K": (7, 256, 144),
        "Q5_K": (8, 256, 176),
        "Q6_K": (9, 256, 210),
    }
)
# Up to this many rows the product outruns decoding the matrix once and multiplying by torch.
MAX_ROWS = 8


def packed_linear(
    x: Tensor, kind: str, data: Tensor, *, bias: Tensor | None = None, max_rows: int = MAX_ROWS
) -> Tensor | None:
    """Multiply a few rows by a packed matrix, without ever writing it out.

    Sums are in float32 over the float32 values of the blocks, in an order that does not depend on
    the number of rows.

    Args:
        x: (..., K) float32 or bfloat16, of at most `max_rows` rows.
        kind: the block format.
        data: (N, row_bytes) uint8, contiguous; may be a memory map.
        bias: (N,) of x's dtype.
        max_rows: more rows than this are refused.

    Returns:
        (..., N) of x's dtype; `None` where the kernel cannot serve.
    """
    kernels = native()
    if kernels is None or kind not in FORMATS or x.dtype not in DTYPES:
        return None
    number, block_values, block_bytes = FORMATS[kind]
    num_rows, row_bytes = data.shape
    width = row_bytes // block_bytes * block_values
    count = x.numel() // max(width, 1)
    if x.shape[-1] != width or not 0 < count <= max_rows:
        return None
    if not is_plain(data) or not x.is_cpu or x.requires_grad:
        return None
    if bias is not None and (bias.dtype is not x.dtype or not is_plain(bias)):
        return None
    rows = x.float().contiguous()
    out = torch.empty(*x.shape[:-1], num_rows, dtype=x.dtype)
    kernels.packed_linear(
        kernels.level,
        torch.get_num_threads(),
        rows.data_ptr(),
        data.data_ptr(),
        None if bias is None else bias.data_ptr(),
        out.data_ptr(),
        count,
        num_rows,
        width,
        number,
        DTYPES[x.dtype],
    )
    return out


def decode_rows(kind: str, data: Tensor, dtype: torch.dtype) -> Tensor | None:
    """Decode packed rows, equal to the bit to the twin's.

    Args:
        kind: the block format.
        data: (..., row_bytes) uint8.
        dtype: float32, or bfloat16 by rounding from it.

    Returns:
        (..., K) of `dtype`; `None` where the kernel cannot serve.
    """
    kernels = native()
    if kernels is None or kind not in FORMATS or dtype not in DTYPES or not is_plain(data):
        return None
    number, block_values, block_bytes = FORMATS[kind]
    width = data.shape[-1] // block_bytes * block_values
    out = torch.empty(*data.shape[:-1], width, dtype=dtype)
    num_blocks = data.numel() // block_bytes
    kernels.decode(
        kernels.level,
        torch.get_num_threads(),
        data.data_ptr(),
        out.data_ptr(),
        num_blocks,
        number,
        DTYPES[dtype],
    )
    return out
