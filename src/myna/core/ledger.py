"""The ledger of what left this machine: one line for each request to another host, before it goes.

It lies in the data folder and is only ever added to. What cannot be noted does not go out.
Not here: answers to those who ask this machine.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

import msgspec

from myna.core.errors import Unavailable

NAME = "ledger.jsonl"
READ_BYTES = 2**18  # from the end: more lines than anybody reads

Purpose = Literal["model", "media"]
"""model: to fetch a model or its listing; media: what a request named by its address."""


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """Note one request that left.

    Attributes:
        at_s: when, in seconds since 1970.
        host: whom it went to.
        path: what was asked for; empty for media, whose addresses may hold secrets.
        has_key: whether the user's own key for that host went along.
    """

    at_s: float
    purpose: Purpose
    host: str
    path: str = ""
    has_key: bool = False


LINE = msgspec.json.Decoder(Departure)


def note_departure(
    home: Path, *, purpose: Purpose, host: str, path: str = "", has_key: bool = False
) -> None:
    """Note in the ledger of a data folder that a request is about to leave; see `Departure`.

    Raises:
        Unavailable: it cannot be noted, so it must not leave.
    """
    departure = Departure(at_s=time.time(), purpose=purpose, host=host, path=path, has_key=has_key)
    line = msgspec.json.encode(departure) + b"\n"
    try:
        home.mkdir(parents=True, exist_ok=True)
        # One write in append mode: lines of several processes do not mix.
        handle = os.open(home / NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)
    except OSError as error:
        raise Unavailable(
            f"{home / NAME} cannot be written ({os.strerror(error.errno or 0)}), so nothing is "
            f"asked of {departure.host}\nhint: make room, or set MYNA_HOME to another folder"
        ) from error


def departures(home: Path, *, limit: int) -> tuple[Departure, ...]:
    """Return the latest departures, the newest first; lines that were damaged are left out."""
    path = home / NAME
    if not path.is_file():
        return ()
    with path.open("rb") as file:
        start = max(0, path.stat().st_size - READ_BYTES)
        file.seek(start)
        lines = file.read().splitlines()[1 if start else 0 :]
    found: list[Departure] = []
    for line in reversed(lines):
        if len(found) == limit:
            break
        try:
            found.append(LINE.decode(line))
        except msgspec.MsgspecError:
            continue
    return tuple(found)
