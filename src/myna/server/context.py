"""What every route needs: the service, the settings, the gate; found again from a request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import HTTPConnection, Request

from myna.core.errors import Conflict, NotFound, Unavailable, Unsupported
from myna.core.fleet import Fleet
from myna.core.service import ModelCard, Service
from myna.media.fetch import Fetcher
from myna.server.auth import ClientSecrets
from myna.server.downloads import Downloads
from myna.server.fits import Fits
from myna.server.kept import Kept, KeptChat, Shelf
from myna.server.library import Library, path_here
from myna.server.limits import Gate, Ticket
from myna.server.metrics import Metrics
from myna.server.realtime.calls import Calls
from myna.server.settings import ServerSettings
from myna.store.history import History

LOADING_RETRY_S = 5.0
TEXT_ALONE = ("text",)
MAX_SOUNDS = 4


@dataclass(frozen=True)
class Control:
    """Hold what loads, unloads and fetches models; without `fits`, none is measured."""

    fleet: Fleet
    library: Library
    downloads: Downloads
    fits: Fits | None = None

    async def delete(self, name: str) -> None:
        """Delete a model from this machine.

        Raises:
            Conflict: it is loaded.
            NotFound: it is not here.
        """
        if any(member.model_id == name for member in self.fleet.members):
            raise Conflict(f"The model {name!r} is loaded; unload it first.", param="model")
        await asyncio.to_thread(path_here, self.library, name)
        await asyncio.to_thread(self.library.remove, name)


@dataclass(frozen=True)
class Context:
    """Hold what one server works with."""

    service: Service
    settings: ServerSettings
    gate: Gate
    kept: Shelf[Kept] = field(default_factory=lambda: Shelf("response"))
    chats: Shelf[KeptChat] = field(default_factory=lambda: Shelf("completion"))
    client_secrets: ClientSecrets = field(default_factory=ClientSecrets)
    calls: Calls = field(default_factory=Calls)

    # A sound that is cut up lies decoded in memory, half an hour of it as 115 MB.
    sound_turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_SOUNDS))
    fetcher: Fetcher | None = None
    metrics: Metrics = field(default_factory=Metrics)
    models_control: Control | None = None
    history: History | None = None
    home: Path | None = None

    def control(self) -> Control:
        """Return what loads models, where this server may do so.

        Raises:
            Unsupported: it serves what it was started with.
        """
        if self.models_control is None:
            raise Unsupported("This server serves the model it was started with, and no other.")
        return self.models_control

    async def takes_media(self) -> bool:
        """Tell whether any model here takes more than text."""
        return any(card.inputs != TEXT_ALONE for card in await self.service.models())

    async def model(self, name: str | None) -> ModelCard:
        """Find the served model that a client means; without a name, the first one."""
        cards = await self.service.models()
        if not cards:
            raise Unavailable("The model is still loading.", retry_after_s=LOADING_RETRY_S)
        if name is None:
            return cards[0]
        wanted = self.settings.aliases.get(name, name)
        for card in cards:
            if card.id == wanted:
                return card
        served = ", ".join(sorted({card.id for card in cards} | set(self.settings.aliases)))
        raise NotFound(f"The model {name!r} is not served here; ask for: {served}.", param="model")


def context_of(request: HTTPConnection) -> Context:
    """Return the context of the application that took this request."""
    context = request.scope["myna.context"]
    assert isinstance(context, Context)
    return context


def ticket_of(request: Request) -> Ticket:
    """Return the ticket under which this request was let in."""
    ticket = request.scope["myna.ticket"]
    assert isinstance(ticket, Ticket)
    return ticket


def owner_of(request: HTTPConnection) -> str:
    """Return whose the things are that this request makes or asks for."""
    owner = request.scope["myna.owner"]
    assert isinstance(owner, str)
    return owner


def request_key(request: HTTPConnection) -> str:
    """Return the random part that all ids of this request share."""
    key = request.scope["myna.request_key"]
    assert isinstance(key, str)
    return key
