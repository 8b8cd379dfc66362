"""The door of what is kept: conversations that branch, their files, and finding them again.

All methods may be called from any thread and return after the disk has what they promise.
Not here: other forms to take a conversation away in (export).
"""

from __future__ import annotations

import fcntl
import secrets
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from myna.core.errors import InvalidRequest
from myna.core.messages import ToolCall
from myna.store import backups
from myna.store.errors import NoSuchRecord
from myna.store.media import RESERVE_BYTES, MediaFiles
from myna.store.records import (
    Branch,
    ConversationRecord,
    Draft,
    Hit,
    MessageRecord,
    Piece,
    Status,
    Thread,
)
from myna.store.rows import (
    UNUSED_S,
    conversation_of,
    delete_conversation,
    forget_unused,
    insert_conversation,
    insert_message,
    message_of,
    update_message,
)
from myna.store.schema import connect
from myna.store.search import search_messages, search_titles
from myna.store.writer import Writer

FILE_NAME = "history.db"
LOCK_NAME = "history.lock"
MEDIA_FOLDER = "media"
UNTITLED = "New conversation"
MAX_TITLE_CHARS = 120


class History:
    """Keep conversations in a folder; several processes may have it open.

    Args:
        folder: holds the database and the files; made if it is missing.
        reserve_bytes: free space that files leave to messages.

    Attributes:
        notice: what the user should know about how it was opened, or nothing.
    """

    def __init__(self, folder: Path, *, reserve_bytes: int = RESERVE_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.media = MediaFiles(folder / MEDIA_FOLDER, reserve_bytes=reserve_bytes)
        self._lock_file = (folder / LOCK_NAME).open("a")
        is_alone = self._lock()
        path = folder / FILE_NAME
        try:
            self.notice = backups.replace_if_damaged(path) if is_alone else None
            self._writer = Writer(path, back_up=lambda source: backups.back_up(source, folder))
        except BaseException:
            self._lock_file.close()
            raise
        self._reader = connect(path)
        self._reading = threading.Lock()
        if is_alone:
            self._repair()
            fcntl.flock(self._lock_file, fcntl.LOCK_SH)

    def close(self) -> None:
        """Let go of the folder; safe to call twice."""
        self._writer.close()
        with self._reading:
            self._reader.close()
        self._lock_file.close()

    def create(
        self,
        *,
        owner: str = "",
        title: str | None = None,
        model: str | None = None,
        system: str | None = None,
    ) -> ConversationRecord:
        """Begin a conversation."""
        now_s = time.time()
        record = ConversationRecord(
            id=f"conv_{secrets.token_hex(12)}",
            title=_title(title) if title else UNTITLED,
            created_s=now_s,
            updated_s=now_s,
            model=model,
            system=system,
        )
        self._writer.run(lambda db: insert_conversation(db, record, owner=owner))
        return record

    def conversations(
        self, *, owner: str = "", limit: int = 50, offset: int = 0
    ) -> list[ConversationRecord]:
        """List conversations: pinned ones first, then the latest; `offset` turns the page."""
        rows = self._read(
            "SELECT * FROM conversations WHERE owner = ?"
            " ORDER BY is_pinned DESC, updated_s DESC, id LIMIT ? OFFSET ?",
            (owner, limit, offset),
        )
        return [conversation_of(row) for row in rows]

    def conversation(self, conversation_id: str, *, owner: str = "") -> ConversationRecord:
        """Find a conversation.

        Raises:
            NoSuchRecord: there is none of this id, or it is another's.
        """
        rows = self._read(
            "SELECT * FROM conversations WHERE id = ? AND owner = ?", (conversation_id, owner)
        )
        if not rows:
            raise NoSuchRecord(f"there is no conversation {conversation_id[:80]!r}", param="id")
        return conversation_of(rows[0])

    def thread(self, conversation_id: str, *, owner: str = "") -> Thread:
        """Show a conversation along the branch that was chosen last."""
        conversation = self.conversation(conversation_id, owner=owner)
        messages = self.messages(conversation_id)
        by_id = {message.id: message for message in messages}
        siblings: dict[str | None, list[str]] = {}
        for message in messages:
            siblings.setdefault(message.parent_id, []).append(message.id)
        path: list[Branch] = []
        message_id = conversation.leaf_id
        while message_id is not None:
            message = by_id[message_id]
            same = tuple(siblings[message.parent_id])
            path.append(Branch(message=message, sibling_ids=same))
            message_id = message.parent_id
        return Thread(conversation=conversation, branches=tuple(reversed(path)))

    def messages(self, conversation_id: str) -> list[MessageRecord]:
        """List all messages of a conversation, on all branches, in the order they came."""
        rows = self._read(
            "SELECT * FROM messages WHERE conversation_id = ? ORDER BY number", (conversation_id,)
        )
        return [message_of(row) for row in rows]

    def add(
        self,
        conversation_id: str,
        draft: Draft,
        *,
        owner: str = "",
        parent_id: str | None = None,
        is_first: bool = False,
    ) -> MessageRecord:
        """Keep a message, and make it the end of the branch that is shown.

        Args:
            conversation_id: where it belongs.
            draft: the message.
            owner: whose conversation it is.
            parent_id: what it answers; the branch's end if not given. A message whose parent has
                other answers opens a branch: an edit, or another try.
            is_first: it answers nothing and opens a branch from the start.

        Raises:
            NoSuchRecord: there is no such conversation, parent or file.
        """
        conversation = self.conversation(conversation_id, owner=owner)
        parent = None if is_first else parent_id or conversation.leaf_id
        message = MessageRecord(
            id=f"msg_{secrets.token_hex(12)}",
            conversation_id=conversation_id,
            parent_id=parent,
            role=draft.role,
            content=draft.content,
            reasoning=draft.reasoning,
            tool_calls=draft.tool_calls,
            tool_call_id=draft.tool_call_id,
            status=draft.status,
            created_s=time.time(),
            model=draft.model,
        )
        self._writer.run(lambda db: insert_message(db, message))
        return message

    def update(
        self,
        message_id: str,
        *,
        owner: str = "",
        content: tuple[Piece, ...] | None = None,
        reasoning: str | None = None,
        tool_calls: tuple[ToolCall, ...] | None = None,
        status: Status | None = None,
    ) -> MessageRecord:
        """Change a message that is still being written; what is not given stays.

        Raises:
            NoSuchRecord: there is none of this id.
        """
        old = self.message(message_id, owner=owner)
        changes = {"content": content, "reasoning": reasoning, "tool_calls": tool_calls}
        given = {name: value for name, value in changes.items() if value is not None}
        new = msgspec.structs.replace(old, **given, status=status or old.status)

        self._writer.run(lambda db: update_message(db, new))
        return new

    def message(self, message_id: str, *, owner: str = "") -> MessageRecord:
        """Find a message.

        Raises:
            NoSuchRecord: there is none of this id, or it is another's.
        """
        rows = self._read(
            "SELECT messages.* FROM messages JOIN conversations"
            " ON conversations.id = conversation_id WHERE messages.id = ? AND owner = ?",
            (message_id, owner),
        )
        if not rows:
            raise NoSuchRecord(f"there is no message {message_id[:80]!r}", param="id")
        return message_of(rows[0])

    def change(
        self,
        conversation_id: str,
        *,
        owner: str = "",
        title: str | None = None,
        is_pinned: bool | None = None,
        system: str | None = None,
        leaf_id: str | None = None,
    ) -> ConversationRecord:
        """Rename, pin or unpin a conversation, or choose the branch to show; the rest stays.

        A branch may be named by any of its messages: the latest end below it is shown.

        Raises:
            NoSuchRecord: there is no such conversation, or no such message in it.
        """
        old = self.conversation(conversation_id, owner=owner)
        if leaf_id is not None:
            leaf_id = self._end_below(conversation_id, leaf_id)
        new = msgspec.structs.replace(
            old,
            title=old.title if title is None else _title(title),
            is_pinned=old.is_pinned if is_pinned is None else is_pinned,
            system=old.system if system is None else system,
            leaf_id=leaf_id or old.leaf_id,
        )
        row = (new.title, int(new.is_pinned), new.system, new.leaf_id, conversation_id)
        self._writer.run(
            lambda db: (
                db.execute(
                    "UPDATE conversations SET title = ?, is_pinned = ?, system = ?, leaf_id = ?"
                    " WHERE id = ?",
                    row,
                ).rowcount
            )
        )
        return new

    def delete(self, conversation_id: str, *, owner: str = "") -> None:
        """Delete a conversation for good, with the files that nothing else refers to."""
        self.conversation(conversation_id, owner=owner)
        for digest in self._writer.run(lambda db: delete_conversation(db, conversation_id)):
            self.media.remove(digest)

    def keep_file(self, data: bytes) -> str:
        """Keep a file for messages to refer to; returns its hash.

        Raises:
            NotSaved: there is no room for it.
        """
        digest = self.media.put(data)
        row = (digest, len(data), time.time())
        self._writer.run(
            lambda db: (
                db.execute(
                    "INSERT INTO media (hash, num_bytes, created_s) VALUES (?, ?, ?)"
                    " ON CONFLICT (hash) DO UPDATE SET created_s = excluded.created_s",
                    row,
                ).rowcount
            )
        )
        return digest

    def file(self, digest: str, *, owner: str = "") -> bytes:
        """Read a file that a message of this owner names.

        Raises:
            NoSuchRecord: there is none.
        """
        rows = self._read(
            "SELECT 1 FROM message_media JOIN messages ON messages.id = message_id"
            " JOIN conversations ON conversations.id = conversation_id"
            " WHERE hash = ? AND owner = ? LIMIT 1",
            (digest, owner),
        )
        if not rows:
            raise NoSuchRecord(f"no message names a file {digest[:80]!r}", param="hash")
        return self.media.get(digest)

    def search(self, words: str, *, owner: str = "", limit: int = 50) -> list[Hit]:
        """Find words in titles and messages; all must occur, in any script.

        Raises:
            InvalidRequest: there is nothing to look for.
        """
        wanted = words.split()
        if not wanted:
            raise InvalidRequest("the search is empty; name what to look for", param="q")
        with self._reading:
            hits = search_titles(self._reader, wanted, owner=owner, limit=limit)
            hits += search_messages(self._reader, wanted, owner=owner, limit=limit)
        return hits[:limit]

    def put(
        self, conversation: ConversationRecord, messages: Sequence[MessageRecord], *, owner: str
    ) -> None:
        """Keep a whole conversation with all its messages, or nothing of it; parents come first.

        Raises:
            NoSuchRecord: a message names a parent or a file that is not there.
        """

        def job(db: sqlite3.Connection) -> None:
            leafless = msgspec.structs.replace(conversation, leaf_id=None)
            insert_conversation(db, leafless, owner=owner)
            for message in messages:
                insert_message(db, message)
            db.execute(
                "UPDATE conversations SET leaf_id = ?, updated_s = ? WHERE id = ?",
                (conversation.leaf_id, conversation.updated_s, conversation.id),
            )

        self._writer.run(job)

    def back_up(self) -> None:
        """Make a copy now."""
        with self._reading:
            backups.back_up(self._reader, self._folder)

    def _end_below(self, conversation_id: str, message_id: str) -> str:
        """Follow the latest answers from a message down to the end of its branch."""
        latest: dict[str | None, str] = {}
        ids = set()
        for message in self.messages(conversation_id):
            latest[message.parent_id] = message.id
            ids.add(message.id)
        if message_id not in ids:
            raise NoSuchRecord(
                f"there is no message {message_id[:80]!r} in this conversation", param="leaf_id"
            )
        while message_id in latest:
            message_id = latest[message_id]
        return message_id

    def _lock(self) -> bool:
        """Share the folder with other processes; tells whether this one is alone with it."""
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._lock_file, fcntl.LOCK_SH)
            return False
        return True

    def _repair(self) -> None:
        """Mark what a killed process left unfinished, and delete files that nothing refers to."""
        self._writer.run(
            lambda db: (
                db.execute(
                    "UPDATE messages SET status = 'interrupted' WHERE status = 'incomplete'"
                ).rowcount
            )
        )
        for digest in self._writer.run(forget_unused):
            self.media.remove(digest)
        known = {row["hash"] for row in self._read("SELECT hash FROM media", ())}
        for digest, age_s in self.media.hashes():
            if digest not in known and age_s > UNUSED_S:
                self.media.remove(digest)
        self.media.sweep()

    def _read(self, statement: str, values: tuple[object, ...]) -> list[sqlite3.Row]:
        with self._reading:
            return self._reader.execute(statement, values).fetchall()


def _title(text: str) -> str:
    """Make a title of a text: one line, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_TITLE_CHARS else line[: MAX_TITLE_CHARS - 1] + "…"
