"""Mapped files: what they show, and what is said when they cannot be."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from myna.core.errors import BadCheckpoint
from myna.kernels.packed import PackedWeight
from myna.models.tiny import write_tiny_checkpoint
from myna.weights.mapping import MappedFile, drop_from_cache
from myna.weights.quantize.folder import quantize_folder
from myna.weights.safetensors_files import SafetensorsCheckpoint


def test_a_mapped_file_shows_its_bytes_and_takes_no_writes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes([1, 2, 3]))
    data = MappedFile(path).data
    assert data.tolist() == [1, 2, 3]
    data[0] = 9
    assert path.read_bytes() == bytes([1, 2, 3])


def resident_bytes(data: Tensor) -> int:
    """Count the bytes of a mapping that this process holds."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    place = next(
        idx
        for idx, line in enumerate(lines)
        if (found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line))
        and int(found[1], 16) <= data.data_ptr() < int(found[2], 16)
    )
    rss = next(line for line in lines[place:] if line.startswith("Rss:"))
    return int(rss.split()[1]) * 1024


def test_what_was_only_looked_through_is_given_back_and_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)
    file = MappedFile(path)
    total = int(file.data.sum())
    assert resident_bytes(file.data) == path.stat().st_size
    file.forget(5, path.stat().st_size - 5)
    assert resident_bytes(file.data) <= 2 * mmap.PAGESIZE
    assert int(file.data.sum()) == total
    file.forget(5, 10)  # within a page: nothing to give


def cached_bytes(data: Tensor) -> int:
    """Count the bytes of a mapping that the system has in memory, for whichever process."""
    pages = np.zeros(-(-len(data) // mmap.PAGESIZE), np.uint8)
    system = ctypes.CDLL(None, use_errno=True)
    address, length = ctypes.c_void_p(data.data_ptr()), ctypes.c_size_t(len(data))
    assert system.mincore(address, length, ctypes.c_void_p(pages.ctypes.data)) == 0
    return int((pages & 1).sum()) * mmap.PAGESIZE


def test_a_range_is_read_as_a_whole_however_large_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    size = 48 * 2**20  # more than any usual readahead
    with path.open("xb") as out:
        out.write(bytes(size))
        out.flush()
        os.fsync(out.fileno())
        os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    file = MappedFile(path)
    file.fetch(5, size - 5)
    until_s = time.monotonic() + 20
    while cached_bytes(file.data) < size:  # the disk takes its time
        assert time.monotonic() < until_s, cached_bytes(file.data)
        time.sleep(0.01)


def test_a_range_is_in_memory_once_it_was_populated(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    file = MappedFile(path)
    file.populate(5, (1 << 20) - 5)
    assert resident_bytes(file.data) == 1 << 20


def test_whole_pages_of_a_range_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)
    dropped: list[tuple[int, ...]] = []
    advise = os.posix_fadvise

    def note(descriptor: int, *wish: int) -> None:
        dropped.append(wish)
        advise(descriptor, *wish)

    monkeypatch.setattr(os, "posix_fadvise", note)
    drop_from_cache(path, 5, (1 << 20) - 5)
    drop_from_cache(path, 5, 10)  # within a page: nothing to drop
    page = mmap.PAGESIZE
    assert dropped == [(page, (1 << 20) - page, os.POSIX_FADV_DONTNEED)]
    assert path.read_bytes() == bytes(range(256)) * 4096


def test_a_packed_matrix_is_not_resident_before_it_is_used(tmp_path: Path) -> None:
    source = write_tiny_checkpoint(tmp_path / "source", "qwen2", hidden_size=512)
    quantize_folder(source, tmp_path / "small", bits=8, progress=lambda *_: None)
    checkpoint = SafetensorsCheckpoint(tmp_path / "small")
    name = next(name for name, info in checkpoint.tensors.items() if info.num_bytes > 1 << 17)
    weight = checkpoint.read(name)
    assert isinstance(weight, PackedWeight)
    assert resident_bytes(weight.data) < weight.num_bytes


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="cannot be mapped: No such file"):
        MappedFile(tmp_path / "absent")


def test_blocks_that_were_cut_off_after_opening_are_told(tmp_path: Path) -> None:
    source = write_tiny_checkpoint(tmp_path / "source", "qwen2")
    quantize_folder(source, tmp_path / "small", bits=4, progress=lambda *_: None)
    checkpoint = SafetensorsCheckpoint(tmp_path / "small")
    name, info = next(item for item in checkpoint.tensors.items() if item[1].is_packed)
    shard = tmp_path / "small" / info.file
    shard.write_bytes(shard.read_bytes()[:64])
    with pytest.raises(BadCheckpoint, match="was cut short while it was being read"):
        checkpoint.read(name)
    checkpoint.close()
