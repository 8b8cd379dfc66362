"""Rows of the tables as values, and the changes that keep the tables true to one another."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable

import msgspec

from myna.core.messages import ToolCall
from myna.store.errors import NoSuchRecord
from myna.store.records import ConversationRecord, MediaPiece, MessageRecord, Piece

# Files that nothing refers to are kept a while: a message may be about to.
UNUSED_S = 24 * 3600.0
PIECES = msgspec.json.Decoder(tuple[Piece, ...])
CALLS = msgspec.json.Decoder(tuple[ToolCall, ...])
encode = msgspec.json.Encoder().encode


def conversation_of(row: sqlite3.Row) -> ConversationRecord:
    """Read a row of `conversations`."""
    return ConversationRecord(
        id=row["id"],
        title=row["title"],
        created_s=row["created_s"],
        updated_s=row["updated_s"],
        is_pinned=bool(row["is_pinned"]),
        model=row["model"],
        system=row["system"],
        leaf_id=row["leaf_id"],
    )


def message_of(row: sqlite3.Row) -> MessageRecord:
    """Read a row of `messages`."""
    return MessageRecord(
        id=row["id"],
        conversation_id=row["conversation_id"],
        parent_id=row["parent_id"],
        role=row["role"],
        content=PIECES.decode(row["content"]),
        reasoning=row["reasoning"],
        tool_calls=CALLS.decode(row["tool_calls"]),
        tool_call_id=row["tool_call_id"],
        status=row["status"],
        created_s=row["created_s"],
        model=row["model"],
    )


def insert_conversation(db: sqlite3.Connection, record: ConversationRecord, *, owner: str) -> None:
    """Add a conversation."""
    db.execute(
        "INSERT INTO conversations (id, owner, title, created_s, updated_s, is_pinned, model,"
        " system, leaf_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.id,
            owner,
            record.title,
            record.created_s,
            record.updated_s,
            int(record.is_pinned),
            record.model,
            record.system,
            record.leaf_id,
        ),
    )


def insert_message(db: sqlite3.Connection, message: MessageRecord) -> None:
    """Add a message as the end of its conversation's branch.

    Raises:
        NoSuchRecord: its conversation, its parent or a file of it is not there (any more).
    """
    if message.parent_id is not None:
        found = db.execute(
            "SELECT 1 FROM messages WHERE id = ? AND conversation_id = ?",
            (message.parent_id, message.conversation_id),
        ).fetchone()
        if found is None:
            raise NoSuchRecord(
                f"there is no message {message.parent_id[:80]!r} to answer in this conversation",
                param="parent_id",
            )
    _check_files(db, message.content)
    db.execute(
        "INSERT INTO messages (id, conversation_id, parent_id, role, content, text, reasoning,"
        " tool_calls, tool_call_id, status, created_s, model)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.id,
            message.conversation_id,
            message.parent_id,
            message.role,
            encode(message.content).decode(),
            message.text,
            message.reasoning,
            encode(message.tool_calls).decode(),
            message.tool_call_id,
            message.status,
            message.created_s,
            message.model,
        ),
    )
    _refer(db, message)
    db.execute(
        "UPDATE conversations SET leaf_id = ?, updated_s = ? WHERE id = ?",
        (message.id, message.created_s, message.conversation_id),
    )


def update_message(db: sqlite3.Connection, message: MessageRecord) -> None:
    """Write a message anew.

    Raises:
        NoSuchRecord: a file of it is not there.
    """
    _check_files(db, message.content)
    db.execute(
        "UPDATE messages SET content = ?, text = ?, reasoning = ?, tool_calls = ?, status = ?"
        " WHERE id = ?",
        (
            encode(message.content).decode(),
            message.text,
            message.reasoning,
            encode(message.tool_calls).decode(),
            message.status,
            message.id,
        ),
    )
    _refer(db, message)
    db.execute(
        "UPDATE conversations SET updated_s = ? WHERE id = ?",
        (time.time(), message.conversation_id),
    )


def delete_conversation(db: sqlite3.Connection, conversation_id: str) -> list[str]:
    """Delete a conversation; returns the hashes of files that nothing refers to any more."""
    rows = db.execute(
        "SELECT DISTINCT hash FROM message_media JOIN messages ON messages.id = message_id"
        " WHERE conversation_id = ?",
        (conversation_id,),
    ).fetchall()
    # Before its messages, each of which names its parent: deleting them one by one is slow.
    db.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))
    return _forget(db, [row["hash"] for row in rows])


def forget_unused(db: sqlite3.Connection) -> list[str]:
    """Forget files that nothing has referred to for long; returns their hashes."""
    rows = db.execute(
        "SELECT hash FROM media WHERE created_s < ?", (time.time() - UNUSED_S,)
    ).fetchall()
    return _forget(db, [row["hash"] for row in rows])


def _forget(db: sqlite3.Connection, hashes: Iterable[str]) -> list[str]:
    unused = [
        digest
        for digest in hashes
        if not db.execute("SELECT 1 FROM message_media WHERE hash = ?", (digest,)).fetchone()
    ]
    db.executemany("DELETE FROM media WHERE hash = ?", [(digest,) for digest in unused])
    return unused


def _check_files(db: sqlite3.Connection, content: tuple[Piece, ...]) -> None:
    for piece in content:
        if isinstance(piece, MediaPiece):
            row = db.execute("SELECT 1 FROM media WHERE hash = ?", (piece.hash,)).fetchone()
            if row is None:
                raise NoSuchRecord(
                    f"there is no file {piece.hash[:80]!r}; send it before the message",
                    param="hash",
                )


def _refer(db: sqlite3.Connection, message: MessageRecord) -> None:
    db.execute("DELETE FROM message_media WHERE message_id = ?", (message.id,))
    hashes = {piece.hash for piece in message.content if isinstance(piece, MediaPiece)}
    db.executemany(
        "INSERT INTO message_media (message_id, hash) VALUES (?, ?)",
        [(message.id, digest) for digest in sorted(hashes)],
    )
