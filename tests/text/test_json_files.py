"""Reading the small files of a folder."""

from pathlib import Path

import pytest

from myna.core.errors import BadCheckpoint
from myna.text import json_files


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    assert json_files.read_json(tmp_path / "a.json", dict[str, int]) is None


def test_a_field_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": "b"}')
    with pytest.raises(BadCheckpoint, match=r"a.json is not as it should be: Expected `int`"):
        json_files.read_json(tmp_path / "a.json", dict[str, int])


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BadCheckpoint, match=r"a.txt is no UTF-8 text"):
        json_files.read_text(tmp_path / "a.txt")


def test_a_file_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "MAX_FILE_BYTES", 3)
    (tmp_path / "a.txt").write_text("long")
    with pytest.raises(BadCheckpoint, match=r"has 4 bytes, and at most 3 are read"):
        json_files.read_text(tmp_path / "a.txt")
