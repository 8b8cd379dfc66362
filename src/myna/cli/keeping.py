"""Where conversations of this machine are kept, for the commands that keep or continue them."""

from __future__ import annotations

import hashlib
import sqlite3

from myna.cli.console import note
from myna.core.errors import NotFound
from myna.core.messages import Message, text_message
from myna.core.settings import Settings
from myna.store.errors import NotSaved
from myna.store.history import History
from myna.store.records import Draft, Status, TextPiece

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


class Keeper:
    """Keep one conversation at a time, from its first message on.

    What cannot be kept is told once, and the conversation goes on.
    """

    def __init__(self, history: History, *, owner: str, model: str) -> None:
        self._history = history
        self._owner = owner
        self._model = model
        self._conversation_id: str | None = None
        self._has_warned = False

    def begin(self) -> None:
        """Let the next message begin a conversation of its own."""
        self._conversation_id = None

    def resume(self) -> tuple[str, list[Message]]:
        """Go on with the latest conversation; returns its title and what was said.

        Raises:
            NotFound: there is none yet.
        """
        latest = sorted(
            self._history.conversations(owner=self._owner, limit=200),
            key=lambda record: record.updated_s,
        )
        if not latest:
            raise NotFound("there is no conversation to continue yet; begin one with `myna chat`")
        thread = self._history.thread(latest[-1].id, owner=self._owner)
        self._conversation_id = thread.conversation.id
        system = thread.conversation.system
        messages = [text_message("system", system)] if system else []
        messages += [
            text_message(branch.message.role, branch.message.text)
            for branch in thread.branches
            if branch.message.role in ("user", "assistant") and branch.message.text
        ]
        return thread.conversation.title, messages

    def asked(self, text: str, *, system: str | None) -> None:
        """Keep what the user says, before it is answered."""
        try:
            if self._conversation_id is None:
                record = self._history.create(
                    owner=self._owner, title=text, model=self._model, system=system
                )
                self._conversation_id = record.id
            self._add(Draft(role="user", content=(TextPiece(text),)))
        except NotSaved as error:
            self._warn(error)

    def answered(self, text: str, *, is_whole: bool) -> None:
        """Keep the answer."""
        status: Status = "complete" if is_whole else "interrupted"
        draft = Draft(
            role="assistant", content=(TextPiece(text),), status=status, model=self._model
        )
        try:
            self._add(draft)
        except NotSaved as error:
            self._warn(error)

    def _add(self, draft: Draft) -> None:
        if self._conversation_id is not None:
            self._history.add(self._conversation_id, draft, owner=self._owner)

    def _warn(self, error: NotSaved) -> None:
        if not self._has_warned:
            self._has_warned = True
            note(f"warning: the conversation goes on, but it is not saved: {error.message}")
