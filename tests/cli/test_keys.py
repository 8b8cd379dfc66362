"""Keys in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna.cli import keys
from myna.cli.main import run
from myna.core.errors import InvalidRequest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_a_key_that_is_made_can_be_read(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["key", "--file", str(file)]) == 0
    assert run(["key", "--file", str(file)]) == 0
    printed = capsys.readouterr().out.split()
    assert keys.read_keys(file) == tuple(printed)
    assert len(set(printed)) == 2
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_may_be_made_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["key"]) == 0
    made = capsys.readouterr()
    assert keys.check_keys([made.out.strip()], origin="x")
    assert made.err == ""


def test_remarks_and_blank_lines_are_no_keys(file: Path) -> None:
    file.touch(0o600)
    file.write_text("# ours\n\nfirst-key-1 # Ada\n  second-key-2\n")
    assert keys.read_keys(file) == ("first-key-1", "second-key-2")


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("", 0o600, "holds no key\nhint: myna key --file"),
        ("long-enough-1", 0o644, "can be read by others on this machine\nhint: chmod 600"),
        ("abc12", 0o600, "is shorter than 8 characters"),
        ("with space in it", 0o600, "spaces or characters outside printable ASCII"),
    ],
)
def test_what_is_no_good_key_file_is_refused(
    file: Path, text: str, mode: int, message: str
) -> None:
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(InvalidRequest, match=message) as caught:
        keys.read_keys(file)
    assert not text or text not in caught.value.message


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        keys.read_keys(tmp_path / "none")
    with pytest.raises(InvalidRequest, match="cannot be written"):
        keys.add_key(tmp_path / "none" / "keys", "x")
