"""Copies of the database."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

import pytest

from myna.store import backups
from myna.store.schema import connect, prepare


def test_a_copy_that_fails_is_told_and_endangers_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / backups.FOLDER).write_text("in the way")
    with closing(connect(tmp_path / "a.db")) as source, caplog.at_level(logging.WARNING):
        prepare(source)
        backups.back_up(source, tmp_path)
        assert source.execute("PRAGMA quick_check").fetchone()[0] == "ok"
    assert "event=backup_failed" in caplog.text


def test_a_damaged_copy_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with closing(connect(path)) as source:
        prepare(source)
        backups.back_up(source, tmp_path)
    (good,) = backups.copies(tmp_path)
    good.rename(good.with_name("history-20200101T000000.db"))
    (tmp_path / backups.FOLDER / "history-20300101T000000.db").write_bytes(b"bad" * 1000)
    path.write_bytes(b"bad" * 1000)
    path.with_name("history.db-wal").write_bytes(b"rest")
    notice = backups.replace_if_damaged(path)
    assert notice is not None
    assert "history-20200101T000000.db is used instead" in notice
    assert backups.replace_if_damaged(path) is None
    assert len(list(tmp_path.glob("history.damaged-*"))) >= 1
