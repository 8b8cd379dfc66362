"""Tiling: blocks in the order of their file become tiles, which are multiplied faster.

Not here: what a tile is (kernels.tiles), and when it is worth the memory (whoever loads).
"""

from __future__ import annotations

import contextlib
import mmap
from dataclasses import replace

import torch
from torch import Tensor

from myna.kernels.blocks import FORMATS
from myna.kernels.packed import PackedWeight, Weight
from myna.kernels.tiles import TILE_ROWS, TILED_KINDS, tile

SLAB_BYTES = 1 << 22
HUGE_PAGE_BYTES = 1 << 21
MADV_COLLAPSE = 25  # Source: Linux's `asm-generic/mman-common.h`, since 6.1


def tiled(weight: Weight) -> Weight:
    """Copy a packed matrix, or a stack of them, into tiles.

    What has no tiled format, or rows that fill no whole tiles, is given back as it is.
    """
    if not isinstance(weight, PackedWeight) or weight.kind not in TILED_KINDS:
        return weight
    if weight.shape[-2] % TILE_ROWS:
        return weight
    rows = weight.data.flatten(0, -2)  # (rows of all, row_bytes)
    memory = _huge_pages(rows.numel())
    out = _start_of(memory, rows.numel()).view(rows.shape)
    step = max(1, SLAB_BYTES // (rows.shape[1] * TILE_ROWS)) * TILE_ROWS
    for start in range(0, len(rows), step):
        slab = rows[start : start + step]
        out[start : start + step] = tile(slab, FORMATS[weight.kind].num_bytes)
    if memory is not None:
        # A full machine hands out small pages after all; once written, they can be put together.
        with contextlib.suppress(OSError):
            memory.madvise(MADV_COLLAPSE)
    return replace(weight, kind=TILED_KINDS[weight.kind], data=out.view(weight.data.shape))


def _huge_pages(num_bytes: int) -> mmap.mmap | None:
    """Map memory for (num_bytes,) and one huge page more, in huge pages where the system has them.

    A token reads all of a model: with small pages, much of its time goes into finding them.
    """
    if num_bytes < HUGE_PAGE_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    memory = mmap.mmap(-1, num_bytes + HUGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # the system was built without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _start_of(memory: mmap.mmap | None, num_bytes: int) -> Tensor:
    """Show (num_bytes,) uint8 of it from the first whole huge page on, or else ordinary memory."""
    if memory is None:
        return torch.empty(num_bytes, dtype=torch.uint8)
    whole = torch.frombuffer(memory, dtype=torch.uint8)
    start = -whole.data_ptr() % HUGE_PAGE_BYTES
    return whole[start : start + num_bytes]
