"""What a path may point at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from myna.core.errors import BadCheckpoint, NotFound, Unsupported
from myna.weights.gguf import GgufCheckpoint
from myna.weights.open import find_gguf, open_checkpoint
from myna.weights.safetensors_files import SafetensorsCheckpoint


def test_a_gguf_file_is_opened(write, small_gguf) -> None:
    path = write("m.gguf", small_gguf)
    assert isinstance(open_checkpoint(path), GgufCheckpoint)


def test_a_folder_of_safetensors_is_opened(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    assert isinstance(open_checkpoint(tmp_path), SafetensorsCheckpoint)


def test_a_folder_that_holds_one_gguf_file_is_opened(write, small_gguf) -> None:
    path = write("m.gguf", small_gguf)
    checkpoint = open_checkpoint(path.parent)
    assert isinstance(checkpoint, GgufCheckpoint)
    assert checkpoint.name == str(path)


def test_parts_of_one_file_count_as_one(write, small_gguf) -> None:
    first = write("m-00001-of-00002.gguf", small_gguf)
    write("m-00002-of-00002.gguf", small_gguf)
    assert find_gguf(first.parent) == first


def test_safetensors_come_before_a_gguf_file_beside_them(write, small_gguf) -> None:
    folder = write("m.gguf", small_gguf).parent
    save_file({"a": torch.ones(1)}, folder / "model.safetensors")
    assert isinstance(open_checkpoint(folder), SafetensorsCheckpoint)


def test_several_gguf_files_are_refused(write, small_gguf) -> None:
    write("a.gguf", small_gguf)
    folder = write("b.gguf", small_gguf).parent
    with pytest.raises(BadCheckpoint, match=r"holds 2 GGUF files, 'a\.gguf', 'b\.gguf'; name one"):
        open_checkpoint(folder)


def test_nothing_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=re.escape("gone does not exist; give a folder or a .gguf")):
        open_checkpoint(tmp_path / "gone")


def test_another_file_is_refused(write) -> None:
    with pytest.raises(BadCheckpoint, match=r"notes\.txt is neither a folder nor a \.gguf file"):
        open_checkpoint(write("notes.txt", b"hello"))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"holds neither model\.safetensors nor"):
        open_checkpoint(tmp_path)


def test_a_folder_of_several_networks_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(Unsupported, match="`myna edit` and `myna serve` run it"):
        open_checkpoint(tmp_path)
