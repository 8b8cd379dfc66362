"""Whom `run` and `chat` talk with: a model in this process, or a server.

Both are asked in plain blocking calls, so that Ctrl-C falls where the answer is being read; closing
the stream of events cancels the request. Not here: what is done with the events.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
from collections.abc import Generator
from typing import Protocol

from myna.core.errors import InternalError
from myna.core.events import Event, Failed
from myna.core.requests import Input, Request, RequestId, SamplingParams, Speech
from myna.core.service import Service

CLOSE_S = 10.0


class Talker(Protocol):
    """Answer one input after another."""

    model_id: str
    has_chat_template: bool

    def answer(
        self, question: Input, sampling: SamplingParams, *, speech: Speech | None = None
    ) -> Generator[Event]:
        """Stream the events of one answer; closing the stream cancels the request."""
        ...

    def close(self) -> None:
        """Let go of the model or the connection."""
        ...


class LocalTalker:
    """Ask a service in this process, whose event loop runs in a thread."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._ids = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="talker", daemon=True)
        self._thread.start()
        (card,) = asyncio.run_coroutine_threadsafe(service.models(), self._loop).result()
        self.model_id = card.id
        self.has_chat_template = card.has_chat_template

    def answer(
        self,
        question: Input,
        sampling: SamplingParams,
        *,
        speech: Speech | None = None,
        num_choices: int = 1,
    ) -> Generator[Event]:
        """Stream the events of one answer, or of several."""
        request = Request(
            id=RequestId(f"cli-{next(self._ids)}"),
            input=question,
            sampling=sampling,
            num_choices=num_choices,
            speech=speech,
        )
        arrived: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

        async def listen() -> None:
            try:
                async for event in self._service.generate(request):
                    arrived.put(event)
            except Exception:
                fault = InternalError("the model met a fault of its own").info()
                arrived.put(Failed(error=fault))
                raise
            finally:
                arrived.put(None)

        listening = asyncio.run_coroutine_threadsafe(listen(), self._loop)
        try:
            while (event := arrived.get()) is not None:
                yield event
        finally:
            listening.cancel()

    def close(self) -> None:
        """End the service and its thread."""

        async def end() -> None:
            await self._service.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._loop.shutdown_asyncgens()

        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(end(), self._loop).result(CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()
