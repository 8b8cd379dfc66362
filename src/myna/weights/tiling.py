"""Tiling: blocks in the order of their file become tiles, which are multiplied faster.

They lie in huge pages, where the system has them: a token reads all of a model, and with small
pages much of its time goes into finding them. So what is in tiles already is copied as well.

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
from myna.kernels.tiles import ROW_KINDS, TILE_ROWS, TILED_KINDS, tile

SLAB_BYTES = 1 << 22
HUGE_PAGE_BYTES = 1 << 21
CHUNK_BYTES = 1 << 28  # of memory asked for at once; what is not written to takes none
LINE_BYTES = 64  # a vector lies in one line of memory
MADV_COLLAPSE = 25  # Source: Linux's `asm-generic/mman-common.h`, since 6.1


class HugePages:
    """Hand out memory for many tensors one behind the other, so that small ones share huge pages.

    It is given back when the last tensor of a chunk is gone.
    """

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self._left = torch.empty(0, dtype=torch.uint8)

    def take(self, num_bytes: int) -> Tensor:
        """Give (num_bytes,) uint8, to be written to."""
        length = -(-num_bytes // LINE_BYTES) * LINE_BYTES
        if length > len(self._left):
            self.settle()
            self._begin(max(length, CHUNK_BYTES))
        taken, self._left = self._left[:num_bytes], self._left[length:]
        return taken

    def settle(self) -> None:
        """Have small pages put together, which a full machine hands out after all."""
        if self._memory is not None:
            with contextlib.suppress(OSError):
                self._memory.madvise(MADV_COLLAPSE)

    def _begin(self, num_bytes: int) -> None:
        if not hasattr(mmap, "MADV_HUGEPAGE"):
            self._left = torch.empty(num_bytes, dtype=torch.uint8)
            return
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._memory = mmap.mmap(-1, num_bytes + HUGE_PAGE_BYTES, flags=flags)
        with contextlib.suppress(OSError):  # the system was built without them
            self._memory.madvise(mmap.MADV_HUGEPAGE)
        whole = torch.frombuffer(self._memory, dtype=torch.uint8)
        start = -whole.data_ptr() % HUGE_PAGE_BYTES
        self._left = whole[start : start + num_bytes]


def has_tiles(kind: str) -> bool:
    """Tell whether blocks of a format are, or become, tiles."""
    return kind in TILED_KINDS or kind in ROW_KINDS


def tiled(weight: Weight, pages: HugePages) -> Weight:
    """Copy a packed matrix, or a stack of them, into tiles.

    What has no tiled format, or rows that fill no whole tiles, is given back as it is.

    Args:
        weight: any.
        pages: where the copy goes.
    """
    if not isinstance(weight, PackedWeight) or not has_tiles(weight.kind):
        return weight
    if weight.kind in ROW_KINDS:
        out = pages.take(weight.data.numel()).view(weight.data.shape).copy_(weight.data)
        return replace(weight, data=out)
    if weight.shape[-2] % TILE_ROWS:
        return weight
    rows = weight.data.flatten(0, -2)  # (rows of all, row_bytes)
    out = pages.take(rows.numel()).view(rows.shape)
    step = max(1, SLAB_BYTES // (rows.shape[1] * TILE_ROWS)) * TILE_ROWS
    for start in range(0, len(rows), step):
        slab = rows[start : start + step]
        out[start : start + step] = tile(slab, FORMATS[weight.kind].num_bytes)
    return replace(weight, kind=TILED_KINDS[weight.kind], data=out.view(weight.data.shape))
