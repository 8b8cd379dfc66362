"""Products with packed blocks that are decoded in registers, and blocks written out at full speed.

Not here: what a packed matrix is, and the twins of these kernels (packed, blocks). Both functions
answer `None` where the compiled kernels cannot serve, and the caller runs the twin.
"""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import Tensor

from myna.kernels.native import DTYPES, is_plain, native
from myna.kernels.tiles import ROW_KINDS as TILED

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
        "BF16": (10, 32, 64),
        "F32": (11, 32, 128),
        "Q4_0_R16": (12, 32, 18),
        "Q8_0_R16": (13, 32, 34),
        "Q6_0": (14, 32, 26),
        "Q6_0_R16": (15, 32, 26),
        "Q4_F8": (16, 32, 17),
        "Q4_F8_R16": (17, 32, 17),
    }
)
DECODED = frozenset(FORMATS) - {"BF16", "F32"}
# Up to this many rows the product outruns decoding the matrix once and multiplying by torch.
MAX_ROWS = 8
MAX_ROUNDED_ROWS = 64
MAX_TILED_ROWS = 1 << 20
# Up to this many rows of a table are written out on one thread, without moving their blocks first.
MAX_GATHERED = 64
# Processors with a matrix unit multiply bfloat16 faster than others do bytes.
HAS_MATRIX_UNIT: bool = torch.cpu._is_amx_tile_supported()


def is_rounded(kind: str, dtype: torch.dtype) -> bool:
    """Tell whether a product with this format rounds activations of that type to 8 bits.

    Tiled formats are made for it. A file's own 4 and 8 bits are read so too where activations have
    few bits anyway; in float32 they are multiplied as they are.
    """
    return kind in TILED or (kind in ("Q4_0", "Q8_0") and dtype is torch.bfloat16)


def max_rows(kind: str, dtype: torch.dtype) -> int:
    """Give the number of rows up to which the product outruns `F.linear` on decoded weights."""
    if kind in TILED:
        return MAX_TILED_ROWS if not HAS_MATRIX_UNIT else MAX_ROUNDED_ROWS
    return MAX_ROUNDED_ROWS if is_rounded(kind, dtype) else MAX_ROWS


def packed_linear(
    x: Tensor, kind: str, data: Tensor, *, bias: Tensor | None = None, out: Tensor | None = None
) -> Tensor | None:
    """Multiply rows by a packed matrix, without ever writing it out.

    Sums are in float32, in an order that does not depend on the number of rows. Where `is_rounded`
    says so, rows of x are rounded to 8 bits in blocks first (see rounding); else the sums are over
    the float32 values of the blocks.

    Args:
        x: (..., K) float32 or bfloat16, of at most `max_rows` rows.
        kind: the block format.
        data: (N, row_bytes) uint8, contiguous; may be a memory map.
        bias: (N,) of x's dtype.
        out: (..., N) of x's dtype to write to, whose last axis is contiguous; `None` makes one.

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
    if x.shape[-1] != width or not 0 < count <= max_rows(kind, x.dtype):
        return None
    if not is_plain(data) or not x.is_cpu or x.requires_grad:
        return None
    if bias is not None and (bias.dtype is not x.dtype or not is_plain(bias)):
        return None
    x = x.contiguous()
    if out is None:
        out = x.new_empty(*x.shape[:-1], num_rows)
    scratch = torch.empty(kernels.packed_linear_scratch(count, width), dtype=torch.uint8)
    kernels.packed_linear(
        kernels.level,
        torch.get_num_threads(),
        x.data_ptr(),
        data.data_ptr(),
        None if bias is None else bias.data_ptr(),
        out.data_ptr(),
        scratch.data_ptr(),
        count,
        num_rows,
        width,
        out.stride(-2) if out.dim() > 1 else num_rows,
        number,
        is_rounded(kind, x.dtype),
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
    if kernels is None or kind not in DECODED or dtype not in DTYPES or not is_plain(data):
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
        data.shape[-1] // block_bytes,
        number,
        DTYPES[dtype],
    )
    return out


def gather_rows(kind: str, data: Tensor, ids: Tensor, dtype: torch.dtype) -> Tensor | None:
    """Write a few rows of a packed matrix out, equal to the bit to `decode_rows` of them.

    Args:
        kind: the block format.
        data: (rows, row_bytes) uint8, contiguous; may be a memory map.
        ids: (...,) int64, at most `MAX_GATHERED`.
        dtype: float32, or bfloat16 by rounding from it.

    Returns:
        (..., K) of `dtype`; `None` where the kernel cannot serve, or if a row is not there.
    """
    kernels = native()
    if kernels is None or kind not in DECODED or dtype not in DTYPES or not is_plain(data):
        return None
    if not 0 < ids.numel() <= MAX_GATHERED or not ids.is_cpu:
        return None
    number, block_values, block_bytes = FORMATS[kind]
    num_rows, row_bytes = data.shape
    ids = ids.contiguous()
    listed = ids.flatten().tolist()
    if min(listed) < 0 or max(listed) >= num_rows:
        return None
    out = torch.empty(*ids.shape, row_bytes // block_bytes * block_values)
    kernels.gather(
        kernels.level,
        data.data_ptr(),
        ids.data_ptr(),
        out.data_ptr(),
        len(listed),
        num_rows,
        out.shape[-1],
        number,
    )
    return out.to(dtype)
