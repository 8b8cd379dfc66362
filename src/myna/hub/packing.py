"""Packing while fetching: each shard is fetched, checked, made smaller and given up in turn.

So a model needs no more room than what is made of it and one shard. Who packs is handed in, because
that takes torch.
Not here: fetching itself (hub.pull).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from myna.core.progress import Progress
from myna.hub.catalogue import Entry

WORK_FOLDER = ".packing"  # within the model's own: what is fetched, and what is known of it
DEFAULT_SHARES: Mapping[int, float] = {4: 0.33, 6: 0.42, 8: 0.54}  # of what bfloat16 takes


class Packer(Protocol):
    """Make a fetched model smaller, shard by shard; may be killed and begun anew at any point."""

    @property
    def bits(self) -> int:
        """Give the bits of most weights."""
        ...

    @property
    def step_bytes(self) -> int:
        """Give the bytes that may be written before what they were made of is given up."""
        ...

    def packs(self, path: str) -> bool:
        """Tell whether a file is one that is packed; others stay as they came."""
        ...

    def is_done(self, path: str, sha256: str | None) -> bool:
        """Tell whether a shard, of this checksum if it is known, is packed."""
        ...

    def is_begun(self, path: str, sha256: str | None) -> bool:
        """Tell whether what is left of a shard is here, checked, to be gone on with."""
        ...

    def begin(self) -> None:
        """Look at the small files, which are there by now, and refuse what could not be loaded."""
        ...

    def pack(self, path: str, sha256: str | None, *, progress: Progress) -> None:
        """Pack a fetched shard and delete it; one that was begun before needs no checksum."""
        ...

    def finish(self) -> Mapping[str, str]:
        """Write what lies beside the packed shards; give the SHA-256 of each of these by path."""
        ...


def packed_share(entry: Entry, bits: int) -> float:
    """Estimate what packing leaves of a model's bytes."""
    if bits == 4 and entry.packed_bytes is not None:
        return entry.packed_bytes / entry.bf16_bytes
    return DEFAULT_SHARES[bits]


def room_needed(
    shard_bytes: Sequence[int], *, share: float, step_bytes: int, here_bytes: int = 0
) -> int:
    """Give the bytes that must be free to fetch and pack shards in this order.

    Args:
        shard_bytes: of each shard that is not done.
        share: what packing leaves of it.
        step_bytes: that a packer writes before it gives up what it read.
        here_bytes: of them that are here already.
    """
    peak_bytes, packed_bytes = 0.0, 0.0
    for num_bytes in shard_bytes:
        peak_bytes = max(peak_bytes, packed_bytes + num_bytes)
        packed_bytes += share * num_bytes
    return max(0, int(max(peak_bytes, packed_bytes)) + step_bytes - here_bytes)


def work_folder(folder: Path) -> Path:
    """Give the folder within a model's own in which packing keeps what it needs."""
    return folder / WORK_FOLDER


def fetched_folder(folder: Path) -> Path:
    """Give the folder in which files lie as they came."""
    return folder / WORK_FOLDER / "fetched"
