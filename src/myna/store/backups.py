"""Copies of the database: made now and then, and taken where it was found damaged."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from myna.store.schema import connect, is_sound

log = logging.getLogger("myna.store")

FOLDER = "backups"
NUM_KEPT = 3


def back_up(source: sqlite3.Connection, folder: Path) -> None:
    """Copy an open database into its folder of backups; the oldest copies go.

    A copy that fails, as on a full disk, is logged and left out: it endangers nothing.
    """
    target = folder / FOLDER / f"history-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}.db"
    partial = target.with_suffix(".partial")
    try:
        target.parent.mkdir(exist_ok=True)
        partial.unlink(missing_ok=True)
        source.execute("VACUUM INTO ?", (str(partial),))
        partial.replace(target)
    except (sqlite3.Error, OSError) as error:
        log.warning("event=backup_failed reason=%r", str(error))
        with contextlib.suppress(OSError):  # The disk may be beyond even this.
            partial.unlink(missing_ok=True)
        return
    for old in copies(folder)[NUM_KEPT:]:
        with contextlib.suppress(OSError):  # It goes with the next copy.
            old.unlink(missing_ok=True)


def copies(folder: Path) -> list[Path]:
    """List the copies, the newest first."""
    return sorted((folder / FOLDER).glob("history-*.db"), reverse=True)


def replace_if_damaged(path: Path) -> str | None:
    """Look a database file over, and put the newest sound copy in the place of a damaged one.

    The damaged file is set aside, never deleted. Nobody else may have it open.

    Returns:
        What the user should know; nothing if it is sound, or not there yet.
    """
    if not path.exists() or _is_sound_file(path):
        return None
    aside = path.with_suffix(f".damaged-{int(time.time())}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        rest = path.with_name(path.name + suffix)
        if rest.exists():
            rest.rename(aside.with_name(aside.name + suffix))
    for copy in copies(path.parent):
        if _is_sound_file(copy):
            path.write_bytes(copy.read_bytes())
            log.error("event=history_damaged aside=%s copy=%s", aside.name, copy.name)
            return (
                f"the history was damaged: it is set aside as {aside.name}, and the copy "
                f"{copy.name} is used instead"
            )
    log.error("event=history_damaged aside=%s copy=none", aside.name)
    return (
        f"the history was damaged and there is no copy of it: it is set aside as {aside.name}, "
        "and a new one begins"
    )


def _is_sound_file(path: Path) -> bool:
    try:
        with closing(connect(path)) as connection:
            return is_sound(connection)
    except sqlite3.DatabaseError:
        return False
