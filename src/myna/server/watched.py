"""A service with a watch: every request is timed, counted, and ended when nothing comes of it.

Not here: the time a request may take in all, which the service itself keeps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

from myna.core.errors import DeadlineExceeded
from myna.core.events import (
    Accepted,
    AudioDelta,
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    TextDelta,
)
from myna.core.requests import ChatInput, EditInput, Request
from myna.core.service import Health, ModelCard, Service
from myna.server.metrics import Metrics

PCM_BYTES = 2


class Watches(Protocol):
    """How long a request may be silent; satisfied by `ServerSettings`."""

    @property
    def first_output_s(self) -> float:
        """Limit the time to the first output."""
        ...

    @property
    def gap_s(self) -> float:
        """Limit the time between two outputs."""
        ...


class WatchedService:
    """Pass everything on to a service, with an eye on the clock."""

    def __init__(self, service: Service, metrics: Metrics, limits: Watches) -> None:
        self._service = service
        self._metrics = metrics
        self._limits = limits

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        """Answer one request; see `Service.generate`."""
        stopwatch = _Stopwatch(self._metrics, num_choices=request.num_choices)
        events = aiter(self._service.generate(request))
        try:
            while (event := await self._next(events, request, stopwatch)) is not None:
                stopwatch.see(event)
                yield event
        finally:
            stopwatch.stop()
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    async def _next(
        self, events: AsyncIterator[Event], request: Request, stopwatch: _Stopwatch
    ) -> Event | None:
        """Wait for an event, but not for ever; `None` after the last."""
        limits = self._limits
        limit_s = limits.gap_s if stopwatch.has_output else limits.first_output_s
        if stopwatch.has_failed:
            return None
        # An edit tells when it moves on; between two steps it may well be silent for minutes.
        is_patient = isinstance(request.input, EditInput)
        try:
            async with asyncio.timeout(None if is_patient else limit_s):
                return await anext(events, None)
        except TimeoutError:
            what = "went on" if stopwatch.has_output else "began"
            late = DeadlineExceeded(
                f"The answer was given up: nothing {what} for {limit_s:g} s; ask for less, or "
                "later.",
                code="no_progress",
            )
            return Failed(error=late.info())

    async def models(self) -> tuple[ModelCard, ...]:
        """List what is served."""
        return await self._service.models()

    async def tokenize(self, text: str, *, model: str | None = None) -> tuple[int, ...]:
        """Encode text."""
        return await self._service.tokenize(text, model=model)

    async def detokenize(self, token_ids: tuple[int, ...], *, model: str | None = None) -> str:
        """Decode token ids."""
        return await self._service.detokenize(token_ids, model=model)

    async def render(self, chat: ChatInput, *, model: str | None = None) -> str:
        """Write a conversation as a prompt."""
        return await self._service.render(chat, model=model)

    async def health(self) -> Health:
        """Report readiness."""
        return await self._service.health()

    async def close(self) -> None:
        """Stop the service."""
        await self._service.close()


class _Stopwatch:
    """Take the times of one request."""

    def __init__(self, metrics: Metrics, *, num_choices: int) -> None:
        self._metrics = metrics
        self._num_open = num_choices
        self._started_s = time.monotonic()
        self._last_text_s: dict[int, float] = {}
        self._first_sound_s: float | None = None
        self._sound_s = 0.0
        self._reason: str | None = None
        self.has_output = False
        self.has_failed = False

    def see(self, event: Event) -> None:
        """Take note of an event."""
        now_s = time.monotonic()
        if isinstance(event, Accepted):
            return
        if not self.has_output and not isinstance(event, Failed):
            self.has_output = True
            self._metrics.time_to_first_token.observe(now_s - self._started_s)
        match event:
            case TextDelta(index=index) | ReasoningDelta(index=index):
                if index in self._last_text_s:
                    self._metrics.inter_token_latency.observe(now_s - self._last_text_s[index])
                self._last_text_s[index] = now_s
            case AudioDelta(pcm=pcm, rate_hz=rate_hz):
                if self._first_sound_s is None:
                    self._first_sound_s = now_s
                    self._metrics.time_to_first_audio.observe(now_s - self._started_s)
                self._sound_s += len(pcm) / PCM_BYTES / rate_hz
            case Finished(reason=reason, usage=usage):
                self._metrics.count_tokens(usage, is_first_choice=self._reason is None)
                self._reason = reason
                self._num_open -= 1
            case Failed():
                self.has_failed = True

    def stop(self) -> None:
        """Count the request by how it ended."""
        spent_s = time.monotonic() - self._started_s
        self._metrics.request_latency.observe(spent_s)
        if self._sound_s:
            self._metrics.audio_realtime_factor.observe(spent_s / self._sound_s)
        outcome = "cancelled" if self._num_open or self._reason is None else self._reason
        self._metrics.requests["failed" if self.has_failed else outcome] += 1
