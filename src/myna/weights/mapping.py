"""A file's bytes as a tensor, without reading them: pages come when they are used.

Not here: what the bytes mean (gguf, safetensors_files).
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import torch

from myna.core.errors import BadCheckpoint

# Asked for at once: Linux reads no more of a range than a file's readahead.
FETCH_BYTES = 128 * 1024


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
        self._path = path
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

    def forget(self, start: int, num_bytes: int, *, for_good: bool = False) -> None:
        """Give back the pages of a range that was only looked through.

        They stay in the system's own memory of the file while there is room, and count as this
        process's again once they are used: rows of a table that no token asks for never do.

        Args:
            start: of the range.
            num_bytes: of it.
            for_good: have the system forget them as well.
        """
        first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (start + num_bytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
        if length <= 0 or not hasattr(mmap, "MADV_DONTNEED"):
            return
        self._map.madvise(mmap.MADV_DONTNEED, first, length)
        if for_good and hasattr(os, "posix_fadvise"):
            with self._path.open("rb") as file:
                os.posix_fadvise(file.fileno(), first, length, os.POSIX_FADV_DONTNEED)
