"""The C library's allocator, told to keep what is freed: a prompt's steps want the same room again.

Left alone, glibc returns megabytes to the system after each product of many rows, and the system
fills every page with zeros before it gives them out anew: a sixth of the time of a prompt.

Not here: torch's own caching allocators, which other devices have.
"""

from __future__ import annotations

import ctypes
import sys

# Source: glibc's `malloc.h`; the second number is the largest that it takes.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 256 << 20
MAPPED_BYTES = 32 << 20


def keep_freed_memory() -> bool:
    """Let this process keep up to `KEPT_BYTES` of what it frees; tell whether the allocator can.

    What is larger than `MAPPED_BYTES` still goes back to the system at once.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES))
