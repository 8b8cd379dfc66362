"""Keys and values as a cache stores them: as they are, or packed into half the bytes.

A packed head is whole blocks of 32 numbers, each spelled as a scale in bfloat16 and 32 steps of
8 bits, from -127 to 127: 8.5 bits a number. Keys have a few columns that are much larger than the
others; in blocks, these cost only their own neighbours' exactness. The kernels that write and read
such blocks are in native/attention.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from myna.kernels.native import DTYPES

BLOCK_VALUES = 32
SCALE_BYTES = 2
BLOCK_BYTES = SCALE_BYTES + BLOCK_VALUES
MAX_STEP = 127
NOTHING = 1e-30  # blocks whose numbers are all smaller count as zeros
PACKED = torch.uint8
# How the kernels number what is cached.
CACHE_DTYPES: Mapping[torch.dtype, int] = MappingProxyType({**DTYPES, PACKED: 2})


def can_pack(head_width: int) -> bool:
    """Tell whether heads of a width are whole blocks."""
    return head_width % BLOCK_VALUES == 0


def stored_width(head_width: int, dtype: torch.dtype) -> int:
    """Give how many of `dtype` hold one head."""
    return head_width // BLOCK_VALUES * BLOCK_BYTES if dtype is PACKED else head_width


def pack_heads(heads: Tensor) -> Tensor:
    """Pack heads, rounding each number to the nearest step: (..., K) -> (..., K/32 * 34) uint8."""
    blocks = heads.float().reshape(*heads.shape[:-1], -1, BLOCK_VALUES)  # (..., K/32, 32)
    peaks = blocks.abs().amax(-1, keepdim=True)  # (..., K/32, 1)
    scales = (peaks / MAX_STEP).bfloat16()
    inverses = torch.where(peaks < NOTHING, 0.0, 1 / scales.float())
    steps = (blocks * inverses).round().nan_to_num(0).clamp(-MAX_STEP, MAX_STEP).to(torch.int8)
    return torch.cat((scales.view(PACKED), steps.view(PACKED)), -1).flatten(-2)


def heads_of(stored: Tensor, dtype: torch.dtype) -> Tensor:
    """Give the numbers of what is stored: (..., W) -> (..., K) of `dtype`."""
    if stored.dtype is not PACKED:
        return stored.to(dtype)
    blocks = stored.view(*stored.shape[:-1], -1, BLOCK_BYTES)  # (..., K/32, 34)
    scales = blocks[..., :SCALE_BYTES].contiguous().view(torch.bfloat16).float()
    steps = blocks[..., SCALE_BYTES:].view(torch.int8)
    return (scales * steps).to(dtype).flatten(-2)


def stored(heads: Tensor, dtype: torch.dtype) -> Tensor:
    """Give heads as a cache of `dtype` stores them: (..., K) -> (..., W)."""
    return pack_heads(heads) if dtype is PACKED else heads.to(dtype)
