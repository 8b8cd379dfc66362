"""The service: what stands between whoever asks (server, command line, tests) and whatever answers.

Carriers: `pipeline.service.LocalService` (an engine thread in this process),
`core.remote.ProcessService` (the same in a process of its own), `core.echo.EchoService` (no model
at all).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from myna.core.events import Event
from myna.core.requests import ChatInput, Request


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """Describe a served model to clients."""

    id: str
    family: str
    context_length: int
    created_s: int
    owned_by: str = "myna"
    inputs: tuple[str, ...] = ("text",)
    outputs: tuple[str, ...] = ("text",)
    capabilities: tuple[str, ...] = ()
    quantization: str | None = None
    size_bytes: int | None = None
    has_chat_template: bool = True
    voices: tuple[str, ...] = ()


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Tell whether requests can be served now.

    `reason` says why not; `heartbeat_age_s` is how long ago work was last seen to move on, and 0
    while there is none.
    """

    ready: bool
    reason: str = ""
    heartbeat_age_s: float = 0.0
    num_running: int = 0
    num_waiting: int = 0


class Service(Protocol):
    """Answer requests. All methods are safe to call from one event loop at the same time."""

    async def models(self) -> tuple[ModelCard, ...]:
        """List what is served; empty while loading."""
        ...

    def generate(self, request: Request) -> AsyncIterator[Event]:
        """Answer one request as a stream of events.

        The stream always ends in `Finished` for each choice, or in `Failed`; it raises nothing but
        cancellation. Closing the iterator (`aclose`, or cancelling the task that reads it) cancels
        the request within one step.
        """
        ...

    async def tokenize(self, text: str, *, model: str | None = None) -> tuple[int, ...]:
        """Encode text as the model's token ids, without special tokens added."""
        ...

    async def detokenize(self, token_ids: tuple[int, ...], *, model: str | None = None) -> str:
        """Decode token ids, special tokens included; bytes that are no UTF-8 become U+FFFD."""
        ...

    async def render(self, chat: ChatInput, *, model: str | None = None) -> str:
        """Write a conversation as the prompt that the model's chat template makes of it."""
        ...

    async def health(self) -> Health:
        """Report readiness; returns at once even when the engine is stuck."""
        ...

    async def close(self) -> None:
        """Stop, ending every open request with `Failed`; safe to call twice."""
        ...
