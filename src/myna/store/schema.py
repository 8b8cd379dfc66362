"""The tables, and how a database file is opened so that what was committed stays.

Source: SQLite's documentation of WAL, `synchronous`, STRICT tables and FTS5's external content.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from myna.core.errors import Unsupported

VERSION = 1
BUSY_S = 10.0
PRAGMAS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA secure_delete = ON;
"""
TABLES = """
CREATE TABLE conversations (
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  title TEXT NOT NULL,
  created_s REAL NOT NULL,
  updated_s REAL NOT NULL,
  is_pinned INTEGER NOT NULL DEFAULT 0,
  model TEXT,
  system TEXT,
  leaf_id TEXT
) STRICT;
CREATE INDEX conversations_by_time ON conversations (owner, is_pinned DESC, updated_s DESC);

CREATE TABLE messages (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
  -- Checked at the commit: a chain of cascades would be deeper than SQLite goes.
  parent_id TEXT REFERENCES messages (id) DEFERRABLE INITIALLY DEFERRED,
  role TEXT NOT NULL,
  content TEXT NOT NULL,
  text TEXT NOT NULL,
  reasoning TEXT,
  tool_calls TEXT NOT NULL,
  tool_call_id TEXT,
  status TEXT NOT NULL CHECK (status IN ('complete', 'incomplete', 'interrupted')),
  created_s REAL NOT NULL,
  model TEXT
) STRICT;
CREATE INDEX messages_by_place ON messages (conversation_id, parent_id, number);
CREATE INDEX messages_by_parent ON messages (parent_id);
CREATE INDEX messages_open ON messages (status) WHERE status = 'incomplete';

CREATE TABLE media (
  hash TEXT PRIMARY KEY,
  num_bytes INTEGER NOT NULL,
  created_s REAL NOT NULL
) STRICT;
CREATE TABLE message_media (
  message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
  hash TEXT NOT NULL REFERENCES media (hash),
  PRIMARY KEY (message_id, hash)
) STRICT;
CREATE INDEX message_media_by_hash ON message_media (hash);

CREATE VIRTUAL TABLE message_text USING fts5 (
  text, content = 'messages', content_rowid = 'number', tokenize = 'trigram'
);
CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
  INSERT INTO message_text (rowid, text) VALUES (new.number, new.text);
END;
CREATE TRIGGER messages_removed AFTER DELETE ON messages BEGIN
  INSERT INTO message_text (message_text, rowid, text) VALUES ('delete', old.number, old.text);
END;
CREATE TRIGGER messages_changed AFTER UPDATE OF text ON messages BEGIN
  INSERT INTO message_text (message_text, rowid, text) VALUES ('delete', old.number, old.text);
  INSERT INTO message_text (rowid, text) VALUES (new.number, new.text);
END;
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open a database; transactions are begun and ended by whoever writes."""
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.executescript(PRAGMAS)
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables of a new database, or see to it that those there are ours.

    Raises:
        Unsupported: a later version of Myna wrote them.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _statements(TABLES):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        elif version > VERSION:
            raise Unsupported(
                f"the history is of version {version}, but this Myna knows {VERSION}; take the "
                "newer Myna, or another MYNA_HOME"
            )
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def is_sound(connection: sqlite3.Connection) -> bool:
    """Tell whether a database file is undamaged, as far as a quick look shows."""
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False


def _statements(script: str) -> list[str]:
    """Take a script apart; a trigger holds semicolons of its own."""
    statements, open_lines = [], ""
    for line in script.splitlines(keepends=True):
        open_lines += line
        if sqlite3.complete_statement(open_lines):
            statements.append(open_lines)
            open_lines = ""
    return statements
