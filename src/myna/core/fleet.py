"""Several services as one: models are loaded and unloaded while others go on answering.

Not here: what a service runs (whoever opens it says so), fetching models (hub).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from myna.core.errors import Conflict, NotFound, Unavailable
from myna.core.events import Event, Failed
from myna.core.progress import Progress, silent
from myna.core.requests import ChatInput, Request
from myna.core.service import Health, ModelCard, Service

RETRY_AFTER_S = 5.0


class Startable(Service, Protocol):
    """A service whose model is loaded by starting it, such as `core.remote.ProcessService`.

    Attributes:
        pid: the process that holds the model, where that is another one and runs.
    """

    pid: int | None

    async def start(self) -> None:
        """Begin to load, and return at once."""
        ...

    async def wait_ready(self) -> None:
        """Wait until the model is loaded; raises why it could not be."""
        ...


Open = Callable[[str, Progress], Startable]
"""Makes the service of a model, not started yet; raises `NotFound` if it is not there."""


@dataclass
class Member:
    """Hold one model and how far it has come.

    Attributes:
        load_s: how long loading took.
    """

    model_id: str
    service: Startable
    is_ready: bool = False
    step: str = ""
    done: int = 0
    total: int = 0
    load_s: float = 0.0
    num_awaiting: int = 0
    cards: tuple[ModelCard, ...] = field(default=())


class Fleet:
    """Serve up to `max_models` models, each by a service of its own.

    Args:
        open_service: makes the service of a model by its name.
        max_models: how many may be loaded at once.
    """

    def __init__(self, open_service: Open, *, max_models: int = 1) -> None:
        self._open = open_service
        self._max_models = max_models
        self._members: dict[str, Member] = {}
        self._is_closed = False

    @property
    def members(self) -> tuple[Member, ...]:
        """List what is loaded or loading, the oldest first."""
        return tuple(self._members.values())

    async def load(self, name: str, progress: Progress = silent) -> Member:
        """Load a model and wait for it; one that is there already is returned at once.

        Raises:
            Conflict: as many models are loaded as may be.
            NotFound: there is no such model here.
            MynaError: it could not be loaded.
        """
        member = self._members.get(name) or self._start(name, progress)
        if member.is_ready:
            return member
        started_s = time.monotonic()
        member.num_awaiting += 1
        try:
            await member.service.start()
            await member.service.wait_ready()
        except BaseException:
            # A half-loaded model that nobody waits for would hold its place for ever.
            if self._members.get(name) is member and member.num_awaiting == 1:
                await self._drop(member)
            raise
        finally:
            member.num_awaiting -= 1
        if not member.is_ready:
            member.is_ready = True
            member.load_s = time.monotonic() - started_s
            member.cards = await member.service.models()
        return member

    async def unload(self, name: str) -> None:
        """End a model's service; its open requests end in `Failed`.

        Raises:
            NotFound: it is not loaded.
        """
        member = self._members.get(name)
        if member is None:
            raise NotFound(
                f"The model {name!r} is not loaded; {self._loaded()}.", param="instance_id"
            )
        await self._drop(member)

    def _start(self, name: str, progress: Progress) -> Member:
        if self._is_closed:
            raise Unavailable("The server is shutting down.")
        if len(self._members) >= self._max_models:
            raise Conflict(
                f"{name!r} cannot be loaded beside {', '.join(self._members)}: "
                f"{self._max_models} may be loaded at once; unload one first.",
                code="too_many_models",
            )
        member: Member | None = None

        def on_progress(step: str, done: int, total: int) -> None:
            if member is not None:
                member.step, member.done, member.total = step, done, total
            progress(step, done, total)

        member = Member(name, self._open(name, on_progress))
        self._members[name] = member
        return member

    async def _drop(self, member: Member) -> None:
        del self._members[member.model_id]
        await member.service.close()

    def _loaded(self) -> str:
        return f"loaded are {', '.join(self._members)}" if self._members else "nothing is loaded"

    def _member_of(self, model: str | None) -> Member:
        """Find who answers for a model; without a name, the first.

        Raises:
            NotFound: the model is not loaded.
            Unavailable: none is.
        """
        if model is None:
            for member in self._members.values():
                return member
            raise Unavailable("No model is loaded.", retry_after_s=RETRY_AFTER_S)
        for member in self._members.values():
            if member.model_id == model or any(card.id == model for card in member.cards):
                return member
        raise NotFound(f"The model {model!r} is not loaded; {self._loaded()}.", param="model")

    async def models(self) -> tuple[ModelCard, ...]:
        """List what is loaded."""
        members = self.members
        listed = await asyncio.gather(*(member.service.models() for member in members))
        return tuple(card for cards in listed for card in cards)

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        """Answer by the model that the request names; see `Service.generate`."""
        try:
            service = self._member_of(request.model).service
        except (NotFound, Unavailable) as error:
            yield Failed(error=error.info())
            return
        answers = service.generate(request)
        async with aclosing(answers) as events:  # type: ignore[type-var]  # all of ours can close
            async for event in events:
                yield event

    async def tokenize(self, text: str, *, model: str | None = None) -> tuple[int, ...]:
        """Encode text by the tokens of a model."""
        return await self._member_of(model).service.tokenize(text)

    async def detokenize(self, token_ids: tuple[int, ...], *, model: str | None = None) -> str:
        """Decode the token ids of a model."""
        return await self._member_of(model).service.detokenize(token_ids)

    async def render(self, chat: ChatInput, *, model: str | None = None) -> str:
        """Write a conversation as the prompt of a model."""
        return await self._member_of(model).service.render(chat)

    async def health(self) -> Health:
        """Report ready if any model is; the counts are those of all."""
        states = [await member.service.health() for member in self.members]
        if not states:
            return Health(ready=False, reason="no model is loaded")
        best = next((state for state in states if state.ready), states[0])
        return Health(
            ready=best.ready,
            reason=best.reason,
            heartbeat_age_s=best.heartbeat_age_s,
            num_running=sum(state.num_running for state in states),
            num_waiting=sum(state.num_waiting for state in states),
        )

    async def close(self) -> None:
        """Stop everything; safe to call twice."""
        self._is_closed = True
        members, self._members = self.members, {}
        await asyncio.gather(*(member.service.close() for member in members))
