"""The one thread that writes to a database: each job a transaction, answered after its commit."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from myna.store.errors import NotSaved
from myna.store.schema import connect, prepare

log = logging.getLogger("myna.store")

Result = TypeVar("Result")
Job = Callable[[sqlite3.Connection], Result]
BACKUP_EVERY_S = 3600.0
MAX_WAITING = 1024


class Writer:
    """Write to one database.

    Args:
        path: of the database file.
        back_up: makes a copy; is called now and then after changes, on the writer's thread.
    """

    def __init__(self, path: Path, *, back_up: Callable[[sqlite3.Connection], None]) -> None:
        self._connection = connect(path)
        try:
            prepare(self._connection)
        except BaseException:
            self._connection.close()
            raise
        self._back_up = back_up
        self._last_backup_s = time.monotonic()
        self._has_changed = False
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(MAX_WAITING)
        self._is_closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="myna-store", daemon=True)
        self._thread.start()

    def run(self, job: Job[Result]) -> Result:
        """Do a job as one transaction; what it returns is committed.

        Raises:
            NotSaved: it was not, because there is no room or the disk fails; nothing has changed.
        """
        future: Future[Result] = Future()

        def work() -> None:
            try:
                future.set_result(self._commit(job))
            except BaseException as error:  # noqa: BLE001 - raised again where the job came from
                future.set_exception(error)

        with self._lock:
            if self._is_closed:
                raise NotSaved("the history is closed; open it again")
            try:
                self._jobs.put_nowait(work)
            except queue.Full:
                raise NotSaved(
                    f"{MAX_WAITING} changes wait to be kept already; try again soon"
                ) from None
        return future.result()

    def close(self) -> None:
        """Do what waits, then stop; safe to call twice."""
        with self._lock:
            is_first, self._is_closed = not self._is_closed, True
        if is_first:
            self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            if self._has_changed and time.monotonic() - self._last_backup_s > BACKUP_EVERY_S:
                self._last_backup_s = time.monotonic()
                self._has_changed = False
                self._copy()
        self._connection.close()

    def _copy(self) -> None:
        try:
            self._back_up(self._connection)
        except Exception:  # A thread's boundary: whoever waits for a later job must be answered.
            log.exception("event=backup_failed")

    def _commit(self, job: Job[Result]) -> Result:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = job(connection)
            connection.execute("COMMIT")
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
            self._roll_back()
            if isinstance(error, sqlite3.IntegrityError):
                raise
            log.warning("event=not_saved reason=%r", str(error))
            raise NotSaved(
                f"this was not kept, the history is as before: {error}; make room on the disk, "
                "then try again",
                code="disk_full" if "full" in str(error) else "not_saved",
            ) from error
        except BaseException:
            self._roll_back()
            raise
        self._has_changed = True
        return result

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
