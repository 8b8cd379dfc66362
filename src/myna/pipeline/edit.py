"""EditService: a model that edits pictures, one edit after another; satisfies `Service`.

Not here: an edit itself (edit_run), the networks (edit_parts).
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import torch

from myna.core.errors import (
    DeadlineExceeded,
    InternalError,
    MynaError,
    Overloaded,
    Unavailable,
    Unsupported,
)
from myna.core.events import Accepted, Event, Failed, Finished, Timings, Usage
from myna.core.memory import available_memory_bytes
from myna.core.progress import Progress
from myna.core.requests import ChatInput, EditInput, Request
from myna.core.service import Health, ModelCard
from myna.diffusion.schedule import LIGHTNING, Schedule
from myna.media.decoder import Decoder
from myna.pipeline.edit_parts import EditFiles, EditParts, open_edit_files
from myna.pipeline.edit_plan import EditPlan, make_plan
from myna.pipeline.edit_run import Cancelled, EditRun, Habits
from myna.pipeline.load import LoadOptions, read_json_object
from myna.pipeline.machine import fast_dtype
from myna.text import tokenizer_files
from myna.weights.open import PIPELINE_INDEX

log = logging.getLogger("myna.edit")

PIPELINE = "QwenImageEditPlusPipeline"
MAX_WAITING = 8
LIGHTNING_STEPS = 4
WEIGHTS_SHARE = 0.6  # of the memory at hand; the rest is for what the networks compute


def is_edit_folder(path: Path) -> bool:
    """Tell whether a folder is in the form of a pipeline with several networks."""
    return (path / PIPELINE_INDEX).is_file()


def load_edit_service(path: Path, options: LoadOptions, progress: Progress) -> EditService:
    """Open an editing model; what does not fit into memory is read from disk again and again.

    Raises:
        BadCheckpoint: the folder is damaged, incomplete, or its parts contradict each other.
        Unsupported: it is a pipeline of another kind.
    """
    kind = read_json_object(path / PIPELINE_INDEX).get("_class_name")
    if kind != PIPELINE:
        raise Unsupported(
            f"{path / PIPELINE_INDEX} says `_class_name` is {kind!r:.80}; {PIPELINE} "
            "(Qwen-Image-Edit-2509) is the one that is supported"
        )
    dtype = fast_dtype() if options.dtype == "auto" else getattr(torch, options.dtype)
    memory_bytes = options.weight_memory_bytes
    if memory_bytes is None:
        memory_bytes = int(WEIGHTS_SHARE * available_memory_bytes())
    files = open_edit_files(path)
    lora = None if options.lora is None else Path(options.lora)
    parts = EditParts(files, dtype=dtype, memory_bytes=memory_bytes, progress=progress, lora=lora)
    return EditService(
        path, files, parts, habits=habits_of(files.schedule, lora), model_id=options.model_id
    )


def habits_of(schedule: Schedule, lora: Path | None) -> Habits:
    """Say how a model usually draws, and with Lightning, how that does.

    Lightning's files are known by their names, which tell the number of steps too.
    """
    if lora is None or "lightning" not in lora.name.lower():
        return Habits(schedule=schedule)
    steps = re.search(r"(\d+)[-_ ]?step", lora.name.lower())
    num_steps = int(steps[1]) if steps else LIGHTNING_STEPS
    return Habits(schedule=LIGHTNING, num_steps=num_steps, guidance=1.0)


class EditService:
    """Edit pictures with one model.

    Args:
        path: the model's folder.
        files: the same, opened.
        parts: its networks.
        habits: how it usually draws.
        model_id: the name clients use.
    """

    def __init__(
        self, path: Path, files: EditFiles, parts: EditParts, *, habits: Habits, model_id: str
    ) -> None:
        self._parts = parts
        self._habits = habits
        self._tokenizer = tokenizer_files.from_folder(path / "tokenizer")
        self._rule = files.rule
        self._decoder = Decoder(num_children=1)
        self._turn = asyncio.Lock()
        self._num_waiting = 0
        self._open: set[threading.Event] = set()
        self._is_closed = False
        packed = sorted(kind for kind in files.kinds if kind.startswith("Q"))
        self._card = ModelCard(
            id=model_id,
            family="qwen_image_edit",
            context_length=parts.config.text_encoder.decoder.context_length,
            created_s=int(time.time()),
            inputs=("text", "image"),
            outputs=("image",),
            capabilities=("edit",),
            quantization=packed[0] if packed else None,
            size_bytes=files.num_bytes,
            has_chat_template=True,  # so that who chats with it is told what it does instead
        )

    async def models(self) -> tuple[ModelCard, ...]:
        """List the one model."""
        return (self._card,)

    async def tokenize(self, text: str, *, model: str | None = None) -> tuple[int, ...]:
        """Encode text as token ids, without special tokens added."""
        return tuple(await asyncio.to_thread(self._tokenizer.encode, text))

    async def detokenize(self, token_ids: tuple[int, ...], *, model: str | None = None) -> str:
        """Decode token ids, special tokens included."""
        return self._tokenizer.decode(token_ids, skip_special=False)

    async def render(self, chat: ChatInput, *, model: str | None = None) -> str:
        """Refuse: there is no conversation with this model."""
        raise self._refusal()

    async def health(self) -> Health:
        """Report readiness at once."""
        is_running = self._turn.locked()
        return Health(ready=True, num_running=int(is_running), num_waiting=self._num_waiting)

    async def close(self) -> None:
        """Stop; open requests end in `Failed`."""
        self._is_closed = True
        for cancelled in self._open:
            cancelled.set()
        async with self._turn:
            self._decoder.close()
            self._parts.close()

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        """Answer one request; see `core.service.Service.generate`."""
        try:
            plan = await asyncio.to_thread(self._plan, request)
            if self._num_waiting >= MAX_WAITING:
                raise Overloaded(
                    f"{MAX_WAITING} edits are waiting already; try again later", retry_after_s=60
                )
        except MynaError as error:
            yield Failed(error=error.info())
            return
        except Exception:  # the boundary between requests
            log.exception("request=%s event=prepare_failed", request.id)
            fault = InternalError("preparing the edit failed; the server's log has the cause")
            yield Failed(error=fault.info())
            return
        yield Accepted(prompt_tokens=0)
        self._num_waiting += 1
        is_waiting = True
        try:
            async with self._turn:
                self._num_waiting -= 1
                is_waiting = False
                if self._is_closed:
                    yield Failed(error=self._why_stopped().info())
                    return
                async with aclosing(self._run(request, plan)) as events:
                    async for event in events:
                        yield event
        finally:
            self._num_waiting -= is_waiting

    def _plan(self, request: Request) -> EditPlan:
        if not isinstance(request.input, EditInput):
            raise self._refusal()
        return make_plan(
            request.input,
            num_choices=request.num_choices,
            seed=request.sampling.seed,
            decoder=self._decoder,
            rule=self._rule,
            grid_px=self._parts.config.grid_px,
        )

    def _why_stopped(self) -> MynaError:
        if self._is_closed:
            return Unavailable("the model is being unloaded; try again later")
        return DeadlineExceeded("the edit was stopped before it was finished; give it more time")

    def _refusal(self) -> Unsupported:
        return Unsupported(
            f"{self._card.id!r} edits pictures and answers nothing else; send a picture and a "
            "prompt to /v1/images/edits",
            param="model",
        )

    async def _run(self, request: Request, plan: EditPlan) -> AsyncGenerator[Event, None]:
        """Carry out an edit on a thread, and pass its events on."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Event | None] = asyncio.Queue()
        cancelled = threading.Event()

        def deliver(event: Event | None) -> None:
            loop.call_soon_threadsafe(arrived.put_nowait, event)

        run = EditRun(
            self._parts, self._tokenizer, plan, self._habits, deliver=deliver, cancelled=cancelled
        )

        def work() -> None:
            try:
                _carry_out(run, request, deliver, why_stopped=self._why_stopped)
            finally:
                deliver(None)

        self._open.add(cancelled)
        working = asyncio.ensure_future(asyncio.to_thread(work))
        deadline_s = request.deadline_s
        timer = None if deadline_s is None else loop.call_later(deadline_s, cancelled.set)
        try:
            while (event := await arrived.get()) is not None:
                yield event
        finally:
            if timer is not None:
                timer.cancel()
            cancelled.set()
            self._open.discard(cancelled)
            # The next edit must not begin while this one still holds the networks.
            await asyncio.shield(working)


def _carry_out(
    run: EditRun,
    request: Request,
    deliver: Callable[[Event], None],
    *,
    why_stopped: Callable[[], MynaError],
) -> None:
    """Run an edit to its end, whatever that is."""
    started_s = time.monotonic()
    try:
        text = run.run()
    except Cancelled:
        deliver(Failed(error=why_stopped().info()))
    except MynaError as error:
        deliver(Failed(error=error.info()))
    except Exception:  # the boundary between requests
        log.exception("request=%s event=edit_failed", request.id)
        fault = InternalError("the edit failed; the server's log has the cause")
        deliver(Failed(error=fault.info()))
    else:
        usage = Usage(
            prompt_tokens=text.num_tokens,
            completion_tokens=0,
            media_tokens=text.num_picture_tokens,
        )
        timings = Timings(decode_s=time.monotonic() - started_s)
        for index in range(request.num_choices):
            deliver(Finished(index=index, reason="stop", usage=usage, timings=timings))
