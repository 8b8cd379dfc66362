"""What commands write."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from myna.cli.console import answer_json, bytes_of, progress_bars, size_text, table
from myna.core.errors import InvalidRequest


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (98_362_432, "98.4 MB"),
        (999_700_000, "1 GB"),
        (70_520_000_000, "70.5 GB"),
        (3_000_000_000_000, "3 TB"),
        (5_000_000_000_000_000, "5e+03 TB"),
    ],
)
def test_sizes_have_three_digits(num_bytes: int, text: str) -> None:
    assert size_text(num_bytes) == text


@pytest.mark.parametrize(
    ("text", "num_bytes"),
    [("7", 7), ("500MB", 500_000_000), ("1.5 GiB", 1_610_612_736), ("2gb", 2_000_000_000)],
)
def test_sizes_are_read_in_both_kinds_of_units(text: str, num_bytes: int) -> None:
    assert bytes_of(text) == num_bytes


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1 parsec", "1e9", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is no number of bytes; give one such as 500MB"):
        bytes_of(text)


def test_columns_are_aligned_but_for_the_last() -> None:
    assert table([("A", "BB"), ("ccc", "d")]) == "A    BB\nccc  d"


def test_json_writes_paths_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    answer_json({"path": Path("/x")})
    assert capsys.readouterr().out == '{\n  "path": "/x"\n}\n'


def test_progress_elsewhere_than_on_a_terminal_is_a_few_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress_bars() as progress:
        for done in range(101):
            progress("loading", done, 100)
        progress("measuring", 5, 0)
        progress("measuring", 6, 0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "loading: 0%",
        "loading: 25%",
        "loading: 50%",
        "loading: 75%",
        "loading: 100%",
        "measuring",
    ]


def test_progress_on_a_terminal_is_a_bar_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress_bars() as progress:
        progress("loading", 1, 2)
        progress("loading", 2, 2)
        progress("measuring", 1, 0)
    captured = capsys.readouterr()
    assert captured.out == ""
