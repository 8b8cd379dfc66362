"""LocalService: a model in this process, its engine on a thread of its own.

Not here: the same in another process (core.remote with worker).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from pathlib import Path

from myna.core.errors import InternalError, MynaError, Unsupported
from myna.core.events import Event, Failed, Finished
from myna.core.progress import Progress
from myna.core.requests import ChatInput, EditInput, Request, SayInput
from myna.core.service import Health, ModelCard, Service
from myna.engine.engine import Engine
from myna.pipeline.answer import RequestAnswer
from myna.pipeline.edit import is_edit_folder, load_edit_service
from myna.pipeline.engine_thread import EngineThread
from myna.pipeline.load import LoadedModel, LoadOptions, load_model
from myna.pipeline.prepare import Prepared, PreparedText, Preparer
from myna.pipeline.speaking import SpokenTrack
from myna.speech.turns import Turns

log = logging.getLogger("myna.service")

MAX_SILENCE_S = 60.0  # what has not moved on for longer than this is taken for stuck


class LocalService:
    """Answer requests with one loaded model; satisfies `core.service.Service`."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        turns = Turns()
        self._turns = turns
        self._preparer = Preparer(model, turns)
        engine = Engine(model.decoder, model.engine_config, on_layer=turns.move)
        self._thread = EngineThread(engine, turns)

    async def models(self) -> tuple[ModelCard, ...]:
        """List the one model."""
        return (self._model.card,)

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        """Answer one request; see `core.service.Service.generate`."""
        try:
            prepared = await asyncio.to_thread(self._prepare, request)
        except MynaError as error:
            yield Failed(error=error.info())
            return
        except Exception:  # the boundary between requests
            log.exception("request=%s event=prepare_failed", request.id)
            fault = InternalError("preparing the request failed; the server's log has the cause")
            yield Failed(error=fault.info())
            return
        async with aclosing(self._run(prepared)) as events:
            async for event in events:
                yield event

    def _prepare(self, request: Request) -> Prepared | PreparedText:
        if isinstance(request.input, EditInput):
            raise Unsupported(
                f"{self._model.card.id!r} does not edit pictures; take a model that does, such as "
                "qwen-image-edit-2509",
                param="model",
            )
        if isinstance(request.input, SayInput):
            return self._preparer.prepare_text(request, request.input)
        return self._preparer.prepare(request)

    async def _run(self, prepared: Prepared | PreparedText) -> AsyncGenerator[Event, None]:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[list[Event]] = asyncio.Queue()

        def deliver(events: list[Event]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(arrived.put_nowait, events)

        track = None if prepared.spoken is None else SpokenTrack(prepared.spoken, deliver)
        num_open = 1
        if isinstance(prepared, Prepared):
            num_open = prepared.engine_request.num_choices
            answer = RequestAnswer(prepared, self._model.tokenizer, deliver, track)
            self._thread.start(prepared.engine_request, answer)
        elif track is not None:
            track.speak(num_tokens=prepared.num_tokens)
        try:
            while num_open > 0:
                for event in await arrived.get():
                    num_open -= isinstance(event, Finished)
                    yield event
                    if isinstance(event, Failed):
                        return
        finally:
            # Whatever still works for this request, such as the text of a failed voice.
            if isinstance(prepared, Prepared):
                self._thread.cancel(prepared.engine_request.id)
            if track is not None:
                track.cancel()

    async def tokenize(self, text: str, *, model: str | None = None) -> tuple[int, ...]:
        """Encode text as token ids, without special tokens added."""
        return tuple(await asyncio.to_thread(self._model.tokenizer.encode, text))

    async def detokenize(self, token_ids: tuple[int, ...], *, model: str | None = None) -> str:
        """Decode token ids, special tokens included."""
        decode = partial(self._model.tokenizer.decode, token_ids, skip_special=False)
        return await asyncio.to_thread(decode)

    async def render(self, chat: ChatInput, *, model: str | None = None) -> str:
        """Write a conversation as its prompt."""
        return await asyncio.to_thread(self._preparer.render, chat)

    async def health(self) -> Health:
        """Report readiness at once."""
        age_s, stats = max(self._thread.heartbeat_age_s, self._turns.held_s), self._thread.stats
        is_stuck = age_s > MAX_SILENCE_S
        return Health(
            ready=not is_stuck,
            reason=f"the engine has not moved on for {age_s:.0f} s" if is_stuck else "",
            heartbeat_age_s=age_s,
            num_running=stats.num_running,
            num_waiting=stats.num_waiting,
        )

    async def close(self) -> None:
        """Stop the engine; open requests end in `Failed`."""
        await asyncio.to_thread(self._thread.close)
        await asyncio.to_thread(self._preparer.close)  # waits for a grammar that is being proved


def load_service(path: Path, options: LoadOptions, progress: Progress) -> Service:
    """Load a model of any kind and start serving it; may take minutes. Errors as `load_model`."""
    if is_edit_folder(path):
        return load_edit_service(path, options, progress)
    return load_local_service(path, options, progress)


def load_local_service(path: Path, options: LoadOptions, progress: Progress) -> LocalService:
    """Load a model that writes and start serving it. Errors as `load_model`."""
    return LocalService(load_model(path, options, progress))
