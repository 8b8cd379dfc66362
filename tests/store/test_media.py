"""Files named by their hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest

from myna.store import media
from myna.store.errors import NoSuchRecord, NotSaved
from myna.store.media import MediaFiles


def test_a_file_is_read_back_by_its_hash(tmp_path: Path) -> None:
    files = MediaFiles(tmp_path, reserve_bytes=0)
    digest = files.put(b"chirp")
    assert digest == hashlib.sha256(b"chirp").hexdigest()
    assert files.put(b"chirp") == digest
    assert files.get(digest) == b"chirp"
    assert [name for name, _ in files.hashes()] == [digest]
    files.remove(digest)
    files.remove(digest)
    with pytest.raises(NoSuchRecord, match=f"there is no file '{digest}'"):
        files.get(digest)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_what_is_no_hash_names_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoSuchRecord, match="is no hash of a file"):
        MediaFiles(tmp_path).get(name)


def test_a_damaged_file_is_not_handed_out(tmp_path: Path) -> None:
    files = MediaFiles(tmp_path, reserve_bytes=0)
    digest = files.put(b"chirp")
    (tmp_path / digest[:2] / digest).write_bytes(b"chIrp")
    with pytest.raises(NoSuchRecord, match="is damaged"):
        files.get(digest)


def test_files_leave_room_for_messages(tmp_path: Path) -> None:
    free_bytes = shutil.disk_usage(tmp_path).free
    files = MediaFiles(tmp_path, reserve_bytes=free_bytes)
    with pytest.raises(NotSaved, match="are reserved for messages; make room"):
        files.put(b"chirp")


def test_a_file_may_be_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_FILE_BYTES", 4)
    with pytest.raises(NotSaved, match="the file has 5 bytes, above 4"):
        MediaFiles(tmp_path).put(b"chirp")


def test_a_failing_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    files = MediaFiles(tmp_path, reserve_bytes=0)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(NotSaved, match="was not kept: No space left on device"):
        files.put(b"chirp")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_a_killed_writer_left_is_swept_away(tmp_path: Path) -> None:
    files = MediaFiles(tmp_path)
    folder = tmp_path / "ab"
    folder.mkdir()
    old, new = folder / ".tmp-old", folder / ".tmp-new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    files.sweep()
    assert not old.exists()
    assert new.exists()
