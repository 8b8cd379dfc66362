"""Keys that clients of a server present: made, kept in a file, and read from it."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from myna.core.errors import InvalidRequest

PREFIX = "myna_"
MIN_CHARS = 8


def make_key() -> str:
    """Make a key that nobody guesses."""
    return PREFIX + secrets.token_urlsafe(32)


def read_keys(path: Path) -> tuple[str, ...]:
    """Read a file with a key a line; blank lines and what follows a `#` do not count.

    Raises:
        InvalidRequest: it cannot be read, others on this machine can read it, or it holds no keys.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the key file {path} cannot be read ({error})") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidRequest(
            f"the key file {path} can be read by others on this machine\nhint: chmod 600 {path}"
        )
    keys = tuple(filter(None, (line.partition("#")[0].strip() for line in text.splitlines())))
    if not keys:
        raise InvalidRequest(f"the key file {path} holds no key\nhint: myna key --file {path}")
    return check_keys(keys, origin=str(path))


def check_keys(keys: Sequence[str], *, origin: str) -> tuple[str, ...]:
    """Refuse keys that no header can carry, or that are soon guessed.

    Raises:
        InvalidRequest: a key is too short, or has odd characters; it is not quoted, for a secret.
    """
    for key in keys:
        if len(key) < MIN_CHARS or not key.isascii() or not key.isprintable() or " " in key:
            raise InvalidRequest(
                f"a key of {origin} is shorter than {MIN_CHARS} characters, or has spaces or "
                "characters outside printable ASCII\nhint: `myna key` makes a good one"
            )
    return tuple(keys)


def add_key(path: Path, key: str) -> None:
    """Append a key to a file that its owner alone can read, making it where it is not there.

    Raises:
        InvalidRequest: the file cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{key}\n")
    except OSError as error:
        raise InvalidRequest(f"the key file {path} cannot be written ({error.strerror})") from None
