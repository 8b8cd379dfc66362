"""The models a user can name: where they come from, under which licence, how large, which bytes.

The facts are in `catalogue.json`; each carries how certain it is. Not here: fetching (hub.pull) and
what is installed (hub.cache).
"""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from myna.core.errors import NotFound

Certainty = Literal["confirmed", "derived", "remembered", "unknown"]
"""confirmed: read in public; derived: computed; remembered: not looked up; unknown: open."""

Kind = Literal["text", "omni", "image_edit", "lora"]


class CatalogueFile(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Name one file of a model; `certainty` is that of its size and checksum."""

    path: str
    num_bytes: int | None = None
    sha256: str | None = None
    certainty: Certainty = "unknown"


class Licence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name a model's licence; `notice` must be read, and with `needs_consent` agreed to."""

    name: str
    certainty: Certainty
    notice: str | None = None
    needs_consent: bool = False


class Wheel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say which member of which Python wheel is the model's file."""

    requirement: str
    member: str
    file: CatalogueFile
    download_bytes: int


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describe one model.

    `packed_bytes` is its size with layers and experts at about 4.3 bits a parameter.
    """

    id: str
    summary: str
    kind: Kind
    repository: str
    revision: str | None = None
    revision_certainty: Certainty
    licence: Licence
    bf16_bytes: int
    size_certainty: Certainty
    packed_bytes: int | None = None
    kv_bytes_per_token: int | None = None
    wheel: Wheel | None = None
    files: tuple[CatalogueFile, ...] = ()

    @property
    def download_bytes(self) -> int:
        """Give the size of what `pull` fetches by default."""
        return self.bf16_bytes if self.wheel is None else self.wheel.download_bytes


@cache
def catalogue() -> dict[str, Entry]:
    """Return all entries by id, in the order to show them."""
    data = Path(__file__).with_name("catalogue.json").read_bytes()
    entries = msgspec.json.decode(data, type=tuple[Entry, ...])
    return {entry.id: entry for entry in entries}


def entry_of(name: str) -> Entry:
    """Look a model up by its id, or by its repository.

    Raises:
        NotFound: no entry has that name.
    """
    entries = catalogue()
    for entry in entries.values():
        if name.lower() in (entry.id, entry.repository.lower()):
            return entry
    close = difflib.get_close_matches(name.lower(), entries, n=1)
    remedy = f"did you mean {close[0]}?" if close else "`myna list` shows the names"
    raise NotFound(f"{name!r} is no model of the catalogue\nhint: {remedy}", param="model")
