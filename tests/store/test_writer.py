"""The one thread that writes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from myna.store import writer as writer_module
from myna.store.errors import NotSaved
from myna.store.writer import Writer

INSERT = (
    "INSERT INTO conversations (id, owner, title, created_s, updated_s) VALUES ('a', '', 'a', 0, 0)"
)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path / "a.db", back_up=lambda _: None)
    yield writer
    writer.close()


def count(db: sqlite3.Connection) -> int:
    number: int = db.execute("SELECT count(*) FROM conversations").fetchone()[0]
    return number


def test_a_job_that_fails_changes_nothing(writer: Writer) -> None:
    def job(db: sqlite3.Connection) -> None:
        db.execute(INSERT)
        raise ValueError("on second thoughts")

    with pytest.raises(ValueError, match="second thoughts"):
        writer.run(job)
    assert writer.run(count) == 0


def test_a_full_disk_is_told_and_the_next_job_works(writer: Writer) -> None:
    def fail(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(NotSaved, match="the history is as before: database or disk is full") as got:
        writer.run(fail)
    assert (got.value.code, got.value.status) == ("disk_full", 507)
    writer.run(lambda db: db.execute(INSERT).rowcount)
    assert writer.run(count) == 1


def test_a_broken_rule_is_our_own_mistake(writer: Writer) -> None:
    writer.run(lambda db: db.execute(INSERT).rowcount)
    with pytest.raises(sqlite3.IntegrityError):
        writer.run(lambda db: db.execute(INSERT).rowcount)


def test_only_so_many_jobs_wait(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    is_busy = threading.Event()

    def hold(_: sqlite3.Connection) -> bool:
        is_busy.set()
        return go.wait(10.0)

    threads = [threading.Thread(target=lambda: writer.run(hold)) for _ in range(2)]
    monkeypatch.setattr(writer._jobs, "maxsize", 1)
    threads[0].start()
    assert is_busy.wait(10.0)  # the first is being done, so the second alone waits
    threads[1].start()
    while not writer._jobs.full():
        pass
    with pytest.raises(NotSaved, match="changes wait to be kept already"):
        writer.run(count)
    go.set()
    for thread in threads:
        thread.join()


def test_a_copy_that_breaks_does_not_stop_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: sqlite3.Connection) -> None:
        raise RuntimeError("no copy")

    monkeypatch.setattr(writer_module, "BACKUP_EVERY_S", 0.0)
    writer = Writer(tmp_path / "a.db", back_up=fail)
    writer.run(lambda db: db.execute(INSERT).rowcount)
    assert writer.run(count) == 1
    writer.close()
    assert "no copy" in caplog.text


def test_a_copy_is_made_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "BACKUP_EVERY_S", 0.0)
    copied: list[int] = []
    writer = Writer(tmp_path / "a.db", back_up=lambda db: copied.append(count(db)))
    writer.run(lambda db: db.execute(INSERT).rowcount)
    writer.close()
    assert copied == [1]
