"""How much memory this machine has, and how much of it can be taken, within a container's limit."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def machine_memory_bytes() -> int:
    """Return the memory of this machine, or what its container may use of it."""
    limit = _cgroup_limit()
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total if limit is None else min(total, limit)


def available_memory_bytes() -> int:
    """Return the bytes that can be taken without swapping, within a container's limit."""
    limit, free = _cgroup_limit(), _available_of_machine()
    if limit is None:
        return free
    with suppress(OSError, ValueError):
        return min(free, max(limit - int((CGROUP / "memory.current").read_text()), 0))
    return free


def _available_of_machine() -> int:
    if MEMINFO.is_file():
        for line in MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _cgroup_limit() -> int | None:
    with suppress(OSError, ValueError):
        return int((CGROUP / "memory.max").read_text())
    return None
