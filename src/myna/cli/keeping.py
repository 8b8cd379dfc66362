"""Where conversations of this machine are kept, for the commands that keep or continue them."""

from __future__ import annotations

import hashlib
import sqlite3

from myna.cli.console import note
from myna.core.settings import Settings
from myna.store.history import History

FOLDER = "history"


def open_history(settings: Settings) -> History | None:
    """Open the history; where it cannot be, say so and go on without."""
    folder = settings.home / FOLDER
    try:
        history = History(folder)
    except (OSError, sqlite3.Error) as error:
        note(f"warning: conversations are not kept: {folder} cannot be used ({error})")
        return None
    if history.notice is not None:
        note(f"warning: {history.notice}")
    return history


def owner_of(settings: Settings) -> str:
    """Tell whose conversations the user of the command line has: those of the server's first key.

    Without keys there is one owner, who has no name.
    """
    if not settings.api_keys:
        return ""
    return hashlib.sha256(settings.api_keys[0].encode()).hexdigest()
