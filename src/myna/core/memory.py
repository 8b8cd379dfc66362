"""How much memory this machine has, what of it can be taken in a container's limit, and is ours."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
PROC = Path("/proc")
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


def used_memory_bytes(root_pid: int | None = None) -> int:
    """Return the bytes that a process and those it began hold; 0 where the system does not tell.

    Pages that two of them hold count twice; a model's lie in one.

    Args:
        root_pid: the process; this one unless given.
    """
    parents, held = {}, {}
    for path in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            name, _, rest = path.read_text(errors="replace").rpartition(")")
            fields, pid = rest.split(), int(name.split()[0])
            parents[pid], held[pid] = int(fields[1]), int(fields[21])
    own = {os.getpid() if root_pid is None else root_pid}
    while found := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= found
    return sum(held.get(pid, 0) for pid in own) * os.sysconf("SC_PAGE_SIZE")


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
