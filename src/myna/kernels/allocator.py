"""The C library's allocator, told to keep what is freed: a prompt's steps want the same room again.

Left alone, glibc returns megabytes to the system after each product of many rows, and the system
fills every page with zeros before it gives them out anew: a sixth of the time of a prompt.

Not here: torch's own caching allocators, which other devices have.
"""

from __future__ import annotations

import ctypes
import sys

# Source: glibc's `malloc.h`; `MAPPED_BYTES` is the largest that it takes.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
KEPT_BYTES = 256 << 20
MAPPED_BYTES = 32 << 20
MAX_ARENAS = 2  # each keeps what its threads freed; Python's rarely ask at the same time


def keep_freed_memory() -> bool:
    """Let this process keep up to `KEPT_BYTES` of what it frees; tell whether the allocator can.

    Threads share `MAX_ARENAS` pools of it. What is larger than `MAPPED_BYTES` still goes back to
    the system at once.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    wishes = {
        M_TRIM_THRESHOLD: KEPT_BYTES,
        M_MMAP_THRESHOLD: MAPPED_BYTES,
        M_ARENA_MAX: MAX_ARENAS,
    }
    return all(mallopt(name, value) for name, value in wishes.items())


def give_back_freed_memory() -> None:
    """Return what was freed to the system, after work of a kind that does not come again soon."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
