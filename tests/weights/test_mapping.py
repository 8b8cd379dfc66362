"""Mapped files: what they show, and what is said when they cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna.core.errors import BadCheckpoint
from myna.models.tiny import write_tiny_checkpoint
from myna.weights.mapping import map_file
from myna.weights.quantize.folder import quantize_folder
from myna.weights.safetensors_files import SafetensorsCheckpoint


def test_a_mapped_file_shows_its_bytes_and_takes_no_writes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes([1, 2, 3]))
    data = map_file(path)
    assert data.tolist() == [1, 2, 3]
    data[0] = 9
    assert path.read_bytes() == bytes([1, 2, 3])


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="cannot be mapped: No such file"):
        map_file(tmp_path / "absent")


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
