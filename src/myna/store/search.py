"""Finding words in titles and messages, in any script.

Words of three characters or more are looked up in the index of trigrams, shorter ones (as Chinese
has them) in the text itself.
"""

from __future__ import annotations

import sqlite3

from myna.store.records import Hit
from myna.store.rows import conversation_of

MIN_TRIGRAM_CHARS = 3
CONTEXT_CHARS = 40
LIKE = " AND {column} LIKE ? ESCAPE '\\'"


def search_titles(db: sqlite3.Connection, words: list[str], *, owner: str, limit: int) -> list[Hit]:
    """Find conversations whose titles hold all words."""
    rows = db.execute(
        "SELECT * FROM conversations WHERE owner = ?"
        + LIKE.format(column="title") * len(words)
        + " ORDER BY updated_s DESC LIMIT ?",
        (owner, *map(_pattern, words), limit),
    )
    return [
        Hit(
            conversation=conversation_of(row),
            message_id=None,
            excerpt=excerpt(row["title"], words[0]),
        )
        for row in rows
    ]


def search_messages(
    db: sqlite3.Connection, words: list[str], *, owner: str, limit: int
) -> list[Hit]:
    """Find messages that hold all words, the latest first."""
    long = [word for word in words if len(word) >= MIN_TRIGRAM_CHARS]
    short = [word for word in words if len(word) < MIN_TRIGRAM_CHARS]
    indexed = " AND number IN (SELECT rowid FROM message_text WHERE message_text MATCH ?)"
    match = " AND ".join('"' + word.replace('"', '""') + '"' for word in long)
    rows = db.execute(
        "SELECT conversations.*, messages.id AS message_id, messages.text AS found"
        " FROM messages JOIN conversations ON conversations.id = conversation_id"
        " WHERE owner = ?"
        + (indexed if long else "")
        + LIKE.format(column="messages.text") * len(short)
        + " ORDER BY number DESC LIMIT ?",
        (owner, *([match] if long else []), *map(_pattern, short), limit),
    )
    return [
        Hit(
            conversation=conversation_of(row),
            message_id=row["message_id"],
            excerpt=excerpt(row["found"], words[0]),
        )
        for row in rows
    ]


def excerpt(text: str, word: str) -> str:
    """Show a word where it stands, between « and »."""
    at = text.lower().find(word.lower())
    if at < 0:  # Letters whose lower case is longer move all that follows.
        return text[: 2 * CONTEXT_CHARS]
    end = at + len(word)
    before = text[max(at - CONTEXT_CHARS, 0) : at]
    after = text[end : end + CONTEXT_CHARS]
    head = "…" if at > CONTEXT_CHARS else ""
    tail = "…" if end + CONTEXT_CHARS < len(text) else ""
    return f"{head}{before}«{text[at:end]}»{after}{tail}".replace("\n", " ")


def _pattern(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
