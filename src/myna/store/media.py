"""Files named by the hash of their bytes: written whole or not at all, never changed.

Not here: who refers to a file (history), what is in it (myna.media).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from myna.store.errors import NoSuchRecord, NotSaved

HASH = re.compile(r"[0-9a-f]{64}")
TEMPORARY_PREFIX = ".tmp-"
# Below this much free space files are refused, so that messages can still be kept.
RESERVE_BYTES = 64 * 2**20
MAX_FILE_BYTES = 128 * 2**20
STALE_S = 3600.0


class MediaFiles:
    """Keep files in a folder.

    Args:
        folder: holds nothing else; made if it is missing.
        reserve_bytes: free space that files leave to messages.
    """

    def __init__(self, folder: Path, *, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.folder = folder
        self._reserve_bytes = reserve_bytes
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes) -> str:
        """Keep a file; returns its hash once it would survive a cut of power.

        Raises:
            NotSaved: it is too large, or there is no room for it.
        """
        if len(data) > MAX_FILE_BYTES:
            raise NotSaved(
                f"the file has {len(data)} bytes, above {MAX_FILE_BYTES}; keep a smaller one"
            )
        free_bytes = shutil.disk_usage(self.folder).free
        if free_bytes < len(data) + self._reserve_bytes:
            raise NotSaved(
                f"the file of {len(data)} bytes was not kept: {free_bytes} bytes are free on the "
                f"disk, and {self._reserve_bytes} are reserved for messages; make room",
                code="disk_full",
            )
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        if not path.exists():
            try:
                self._write(path, data)
            except OSError as error:
                raise NotSaved(
                    f"the file of {len(data)} bytes was not kept: {error.strerror}; make room",
                    code="disk_full",
                ) from error
        return digest

    def get(self, digest: str) -> bytes:
        """Read a file.

        Raises:
            NoSuchRecord: there is none of this hash.
        """
        path = self._path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NoSuchRecord(f"there is no file {digest[:80]!r}", param="hash") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise NoSuchRecord(f"the file {digest} is damaged; send it again", param="hash")
        return data

    def remove(self, digest: str) -> None:
        """Delete a file; one that is gone already is no fault."""
        self._path(digest).unlink(missing_ok=True)

    def hashes(self) -> Iterator[tuple[str, float]]:
        """List what is kept: each hash, and for how many seconds it has been."""
        now_s = time.time()
        for path in self.folder.glob("??/*"):
            if HASH.fullmatch(path.name):
                yield path.name, now_s - path.stat().st_mtime

    def sweep(self) -> None:
        """Delete what writers that were killed left half written."""
        now_s = time.time()
        for path in self.folder.glob(f"??/{TEMPORARY_PREFIX}*"):
            if now_s - path.stat().st_mtime > STALE_S:
                path.unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        if not HASH.fullmatch(digest):
            raise NoSuchRecord(f"{digest[:80]!r} is no hash of a file", param="hash")
        return self.folder / digest[:2] / digest

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(exist_ok=True)
        temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        for folder in (path.parent, self.folder):
            sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """See to it that names made in a folder survive a cut of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
