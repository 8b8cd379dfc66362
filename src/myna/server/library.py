"""What models there are on this machine and in the catalogue, and fetching and deleting them.

A client names a model by its id alone: never by a path, an address or a source.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from myna.core.errors import InvalidRequest, NotFound
from myna.core.progress import Progress
from myna.core.settings import Settings
from myna.hub.cache import BOX, Known, known, remove
from myna.hub.pull import Plan, plan_pull, pull
from myna.server.fits import CONTEXT

PROGRAM_BYTES = 500 * 10**6  # the program itself, and room to work
PACKED_SHARE = 0.75  # of a download: a folder that is smaller was packed as it came


@dataclass(frozen=True, kw_only=True)
class Title:
    """Name a model that can be loaded or fetched; a `path` says that it is here.

    Attributes:
        num_bytes: its size here, or of its download.
        needs_bytes: memory it takes as it comes, where that is known without looking.
        packed_needs_bytes: the same once it is quantized to about four bits.
    """

    id: str
    num_bytes: int
    summary: str = ""
    licence: str | None = None
    path: Path | None = None
    needs_bytes: int | None = None
    packed_needs_bytes: int | None = None


class Library(Protocol):
    """Know models by name. Every method may block: call it beside the event loop."""

    def titles(self) -> tuple[Title, ...]:
        """List all models: what is in the box, those of the catalogue, others that are here."""
        ...

    def plan(self, name: str, *, has_consent: bool) -> Plan:
        """Find out what fetching a model means."""
        ...

    def fetch(self, plan: Plan, progress: Progress) -> None:
        """Fetch a model."""
        ...

    def remove(self, name: str) -> None:
        """Delete a model from this machine."""
        ...


class HubLibrary:
    """Know the models of the catalogue, and those in this user's folder."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def titles(self) -> tuple[Title, ...]:
        """List all models, what is in the box first; see `Library.titles`."""
        return tuple(map(_title, known(self._settings.models_dir)))

    def plan(self, name: str, *, has_consent: bool) -> Plan:
        """Find out what fetching a model of the catalogue means.

        Raises:
            NotFound: the catalogue has no such model.
            InvalidRequest: its licence must be agreed to first.
            Unavailable: the listing cannot be had, or the disk is too full.
        """
        plan = plan_pull(name, self._settings)
        if plan.entry.licence.needs_consent and not (has_consent or plan.is_complete):
            raise InvalidRequest(
                f"The licence of {plan.entry.id} must be agreed to first: "
                f"{plan.entry.licence.notice or plan.entry.licence.name}. "
                "Send `accept_licence`: true.",
                param="accept_licence",
                code="licence_not_accepted",
            )
        return plan

    def fetch(self, plan: Plan, progress: Progress) -> None:
        """Fetch a model; errors as `hub.pull.pull`."""
        pull(plan, self._settings, progress=progress)

    def remove(self, name: str) -> None:
        """Delete a model from this machine; errors as `hub.cache.remove`."""
        remove(name, self._settings.models_dir)


def path_here(library: Library, name: str) -> Path:
    """Find where a model lies on this machine, by its id.

    Raises:
        NotFound: it is not here, or no model at all.
    """
    titles = {title.id: title for title in library.titles()}
    title = titles.get(name)
    if title is not None and title.path is not None:
        return title.path
    here = ", ".join(title.id for title in titles.values() if title.path) or "none"
    remedy = "POST /api/v1/models/download fetches it; " if title is not None else ""
    raise NotFound(
        f"The model {name!r} is not on this machine; {remedy}here are: {here}.", param="model"
    )


def _title(model: Known) -> Title:
    needs_bytes, packed_needs_bytes = _needs(model)
    return Title(
        id=model.id,
        num_bytes=model.num_bytes,
        summary=model.summary,
        licence=model.licence,
        path=model.path,
        needs_bytes=needs_bytes,
        packed_needs_bytes=packed_needs_bytes,
    )


def _needs(model: Known) -> tuple[int | None, int | None]:
    """Count the bytes of memory that a model takes as it comes, and in four bits, if known."""
    if model.here is not None and model.here.source == BOX:
        return model.num_bytes + PROGRAM_BYTES, None
    entry = model.entry
    # What edits pictures reads from disk what does not fit; a LoRA is part of another model.
    if entry is None or entry.kind not in ("text", "omni"):
        return None, None
    beside = PROGRAM_BYTES + CONTEXT * (entry.kv_bytes_per_token or 0)
    packed_bytes = entry.packed_bytes
    is_packed = model.num_bytes < PACKED_SHARE * entry.download_bytes
    weight_bytes = model.num_bytes if is_packed else entry.bf16_bytes
    return weight_bytes + beside, None if packed_bytes is None else packed_bytes + beside
