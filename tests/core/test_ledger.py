"""The ledger: what leaves is noted before it goes, and only added to."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from myna.core.errors import Unavailable
from myna.core.ledger import NAME, departures, note_departure


def test_an_empty_ledger_says_that_nothing_left(tmp_path: Path) -> None:
    assert departures(tmp_path, limit=10) == ()


def test_departures_come_back_newest_first(tmp_path: Path) -> None:
    home = tmp_path / "new"
    note_departure(home, purpose="model", host="hub.example", path="/a", has_key=True)
    note_departure(home, purpose="media", host="pictures.example")
    newest, oldest = departures(home, limit=10)
    assert (newest.purpose, newest.host, newest.path, newest.has_key) == (
        "media",
        "pictures.example",
        "",
        False,
    )
    assert (oldest.path, oldest.has_key) == ("/a", True)
    assert abs(newest.at_s - time.time()) < 60
    assert departures(home, limit=1) == (newest,)
    assert (home / NAME).stat().st_mode & 0o077 == 0


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    note_departure(tmp_path, purpose="model", host="a.example")
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"half": \n\xff\n')
    note_departure(tmp_path, purpose="model", host="b.example")
    assert [left.host for left in departures(tmp_path, limit=10)] == ["b.example", "a.example"]


def test_of_a_long_ledger_the_end_is_read(tmp_path: Path) -> None:
    note_departure(tmp_path, purpose="model", host="first.example", path="x" * 2**18)
    note_departure(tmp_path, purpose="model", host="last.example")
    assert [left.host for left in departures(tmp_path, limit=10)] == ["last.example"]


def test_what_cannot_be_noted_does_not_leave(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(Unavailable, match=r"cannot be written .*so nothing is asked of a.example"):
        note_departure(tmp_path, purpose="model", host="a.example")
