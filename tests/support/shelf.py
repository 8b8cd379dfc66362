"""A library without a network: models that appear when they are fetched, as slowly as told."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from myna.core.echo import EchoService
from myna.core.errors import NotFound, Unavailable
from myna.core.progress import Progress
from myna.hub.catalogue import Entry, Licence
from myna.hub.pull import Plan
from myna.server.library import Title

NUM_BYTES = 100


class EchoProcess(EchoService):
    """Be loaded as a process is: at once, with one step of progress."""

    pid: int | None = None

    def __init__(self, name: str, progress: Progress) -> None:
        super().__init__(model=name)
        self.progress = progress

    async def start(self) -> None:
        """Begin to load."""
        self.progress("loading", 1, 2)

    async def wait_ready(self) -> None:
        """Be loaded."""


class Shelf:
    """Know the models `one` and `two`, of which the first is here; `gated` needs consent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.here = {"one"}
        self.may_fetch = threading.Event()
        self.may_fetch.set()
        self.fails = False

    def titles(self) -> tuple[Title, ...]:
        """List all models."""
        return tuple(
            Title(
                id=name,
                num_bytes=NUM_BYTES,
                summary=f"number {name}",
                licence="Apache-2.0",
                path=self.folder / name if name in self.here else None,
            )
            for name in ("one", "two")
        )

    def plan(self, name: str, *, has_consent: bool) -> Plan:
        """Plan to fetch a hundred bytes."""
        if name not in ("one", "two"):
            raise NotFound(f"{name!r} is no model of the catalogue", param="model")
        entry = Entry(
            id=name,
            summary="",
            kind="text",
            repository=f"maker/{name}",
            revision_certainty="unknown",
            licence=Licence(name="Apache-2.0", certainty="confirmed"),
            bf16_bytes=NUM_BYTES,
            size_certainty="confirmed",
        )
        plan = Plan(
            entry=entry,
            source="hub",
            folder=self.folder / name,
            revision=None,
            files=(),
            num_bytes=NUM_BYTES,
            free_bytes=NUM_BYTES,
            num_unverified=0,
        )
        return replace(plan, is_complete=name in self.here)

    def fetch(self, plan: Plan, progress: Progress) -> None:
        """Fetch in two steps, with a wait between."""
        progress("downloading a", NUM_BYTES // 2, NUM_BYTES)
        while not self.may_fetch.wait(0.01):
            progress("downloading a", NUM_BYTES // 2, NUM_BYTES)
        if self.fails:
            raise Unavailable("the hub is away")
        progress("downloading a", NUM_BYTES, NUM_BYTES)
        self.here.add(plan.entry.id)

    def remove(self, name: str) -> None:
        """Delete a model."""
        if name not in self.here:
            raise NotFound(f"model {name!r} is not on this machine", param="model")
        self.here.discard(name)
