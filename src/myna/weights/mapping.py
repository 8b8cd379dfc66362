"""A file's bytes as a tensor, without reading them: pages come when they are used.

Not here: what the bytes mean (gguf, safetensors_files).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
from pathlib import Path

import torch

from myna.core.errors import BadCheckpoint

# Asked for at once: Linux reads no more of a range than a file's readahead.
FETCH_BYTES = 128 * 1024
MADV_POPULATE_READ = 22  # Source: Linux's `asm-generic/mman-common.h`, since 5.14


class MappedFile:
    """Show a file's bytes.

    The mapping is private: PyTorch has no read-only tensors, and a stray write must not reach the
    file. It lasts as long as a tensor that shows a part of it.

    Args:
        path: of the file.

    Attributes:
        data: (bytes,) uint8, not to be written to.

    Raises:
        BadCheckpoint: it cannot be mapped.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except OSError as error:
            raise BadCheckpoint(f"{path} cannot be mapped: {error.strerror}") from error
        self.data = torch.frombuffer(self._map, dtype=torch.uint8)

    def fetch(self, start: int, num_bytes: int) -> None:
        """Have all of a range read from the disk before it is looked through.

        A look at scales alone would leave pages between them to be read one by one, much later.
        """
        if not hasattr(mmap, "MADV_WILLNEED"):
            return
        stop = start + num_bytes
        for first in range(start // mmap.PAGESIZE * mmap.PAGESIZE, stop, FETCH_BYTES):
            self._map.madvise(mmap.MADV_WILLNEED, first, min(FETCH_BYTES, stop - first))

    def populate(self, start: int, num_bytes: int) -> None:
        """Have a range in memory, as pages of this process, before it is used.

        The system sooner forgets pages that it read for nobody; whoever uses one then waits for
        the disk. Where it cannot be asked, pages come one by one.
        """
        first = start // mmap.PAGESIZE * mmap.PAGESIZE
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # an older one
                self._map.madvise(MADV_POPULATE_READ, first, start + num_bytes - first)

    def forget(self, start: int, num_bytes: int) -> None:
        """Give back the pages of a range that was only looked through.

        They stay in the system's own memory of the file while there is room, and count as this
        process's again once they are used: rows of a table that no token asks for never do.
        """
        first, length = _whole_pages(start, num_bytes)
        if length > 0 and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, first, length)


def drop_from_cache(path: Path, start: int, num_bytes: int) -> None:
    """Have the system forget what it remembers of a range that is not needed again.

    What is mapped at the moment stays, and what it keeps in one piece with bytes outside the range.
    """
    first, length = _whole_pages(start, num_bytes)
    if length > 0 and hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), first, length, os.POSIX_FADV_DONTNEED)


def _whole_pages(start: int, num_bytes: int) -> tuple[int, int]:
    """Give the beginning and the length of the pages that lie in a range as a whole."""
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    return first, (start + num_bytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
