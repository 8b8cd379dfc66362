"""A service that runs in a process of its own, so that its death is an error and not an outage.

`ProcessService` starts the worker over a private socket pair, carries many requests at once, and
starts it again when it dies, ever more slowly, until it gives up. The worker's half is in
`core.worker`, the messages are in `core.frames`. Not here: what the worker runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from myna.core.calls import Calls, Replied
from myna.core.errors import EngineDied, ErrorInfo, RemoteError, TooLarge, Unavailable
from myna.core.events import Event, Failed
from myna.core.frames import (
    BrokenFrame,
    Cancel,
    Channel,
    Command,
    Detokenize,
    Generate,
    Heartbeat,
    Loaded,
    LoadFailed,
    Loading,
    Render,
    Reply,
    Tokenize,
    Tokenized,
    Written,
    to_worker,
)
from myna.core.progress import Progress, silent
from myna.core.requests import ChatInput, Request
from myna.core.service import Health, ModelCard
from myna.core.worker import STACKS_SIGNAL

LAST_WORDS_S = 0.5
LOAD_RETRY_AFTER_S = 5.0

log = logging.getLogger("myna.remote")


@dataclass(frozen=True)
class Supervision:
    """Say when a worker counts as stuck, and how it is started again.

    Attributes:
        first_delay_s: pause before the first restart; each further death in the window doubles it.
        max_delay_s: the longest pause.
        max_deaths: so many deaths within `window_s` and the worker stays down.
        window_s: how long a death is remembered.
        stale_s: not ready when the worker was silent for so long.
        hang_s: killed, and so restarted, when the worker was silent for so long.
        stuck_s: the same, when the worker speaks but its work has not moved on for so long. What
            moves on by a layer of the network is not stuck, however long a step takes; the largest
            layers of a slow machine want some tens of seconds.
        close_s: how long a worker may take to end by itself.
    """

    first_delay_s: float = 1.0
    max_delay_s: float = 60.0
    max_deaths: int = 5
    window_s: float = 600.0
    stale_s: float = 5.0
    hang_s: float = 60.0
    stuck_s: float = 120.0
    close_s: float = 5.0


class ProcessService:
    """Answer requests through a worker process.

    Args:
        command: the worker's program and arguments; the number of the inherited socket is appended,
            and the program is expected to call `core.worker.run_worker` with it.
        on_progress: hears how loading moves on.
        supervision: when and how the worker is restarted.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        on_progress: Progress = silent,
        supervision: Supervision | None = None,
    ) -> None:
        self._command = tuple(command)
        self._on_progress = on_progress
        self._supervision = supervision or Supervision()
        self._calls = Calls()
        self._channel: Channel[Reply, Command] | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._closing = asyncio.Event()
        self._deaths: deque[float] = deque()
        self._models: tuple[ModelCard, ...] = ()
        self._health = Health(ready=False)
        self._heard_s = time.monotonic()
        self._reason = "the engine process has not been started"
        self._retry_after_s: float | None = LOAD_RETRY_AFTER_S
        self._load_error: ErrorInfo | None = None
        self.pid: int | None = None

    async def start(self) -> None:
        """Start the worker and return at once; `wait_ready` waits for its model."""
        if self._supervisor is None:
            self._reason = "the model is loading"
            self._supervisor = asyncio.create_task(self._supervise())

    async def wait_ready(self) -> None:
        """Wait until the model has loaded for the first time.

        Raises:
            RemoteError: it could not be loaded, or the service was closed meanwhile.
        """
        await self._settled.wait()
        if self._load_error is not None:
            raise RemoteError(self._load_error)

    async def models(self) -> tuple[ModelCard, ...]:
        """List what is served; empty while loading for the first time."""
        return self._models

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        """Answer one request as a stream of events; see `Service.generate`."""
        channel = self._ready_channel()
        if isinstance(channel, ErrorInfo):
            yield Failed(error=channel)
            return
        call_id, stream = self._calls.open_stream()
        try:
            try:
                await channel.send(Generate(call_id=call_id, request=request))
            except TooLarge as error:
                stream.end(error.info())
            async for event in stream.read():
                yield event
        finally:
            self._calls.close(call_id)
            if not stream.has_ended:
                channel.post(Cancel(call_id=call_id))

    async def tokenize(self, text: str, *, model: str | None = None) -> tuple[int, ...]:
        """Encode text as the model's token ids.

        Raises:
            RemoteError: the worker is not ready, died, or refused the text.
        """
        replied = await self._ask(lambda call_id: Tokenize(call_id=call_id, text=text))
        assert isinstance(replied, Tokenized)
        return replied.token_ids

    async def detokenize(self, token_ids: tuple[int, ...], *, model: str | None = None) -> str:
        """Decode token ids; errors as `tokenize`."""
        replied = await self._ask(lambda call_id: Detokenize(call_id=call_id, token_ids=token_ids))
        assert isinstance(replied, Written)
        return replied.text

    async def render(self, chat: ChatInput, *, model: str | None = None) -> str:
        """Write a conversation as a prompt; errors as `tokenize`."""
        replied = await self._ask(lambda call_id: Render(call_id=call_id, chat=chat))
        assert isinstance(replied, Written)
        return replied.text

    async def health(self) -> Health:
        """Report readiness from what the worker last said."""
        if self._channel is None:
            return Health(ready=False, reason=self._reason)
        silent_s = time.monotonic() - self._heard_s
        is_stale = silent_s > self._supervision.stale_s
        return Health(
            ready=self._health.ready and not is_stale,
            reason=_silence(silent_s) if is_stale else self._health.reason,
            heartbeat_age_s=self._health.heartbeat_age_s + silent_s,
            num_running=self._health.num_running,
            num_waiting=self._health.num_waiting,
        )

    async def close(self) -> None:
        """Stop the worker, ending every open request with `Failed`."""
        closing = Unavailable("the service is shutting down").info()
        self._reason, self._retry_after_s = closing.message, None
        if not self._settled.is_set():
            self._load_error = closing
            self._settled.set()
        self._calls.fail_all(closing)
        # The supervisor is asked to end, not cancelled: that could break into the clean-up after a
        # worker that has just died, and leave its process.
        self._closing.set()
        if self._supervisor is not None:
            await asyncio.wait({self._supervisor})

    async def _ask(self, command: Callable[[int], Command]) -> Replied:
        """Send what `command` makes of a call's number, and wait for the one answer to it."""
        channel = self._ready_channel()
        if isinstance(channel, ErrorInfo):
            raise RemoteError(channel)
        call_id, reply = self._calls.open_reply()
        try:
            await channel.send(command(call_id))
            return await reply
        finally:
            self._calls.close(call_id)

    def _ready_channel(self) -> Channel[Reply, Command] | ErrorInfo:
        """Return the way to the worker, or why there is none."""
        if self._channel is None:
            return Unavailable(self._reason, retry_after_s=self._retry_after_s).info()
        silent_s = time.monotonic() - self._heard_s
        if silent_s > self._supervision.stale_s:
            return Unavailable(_silence(silent_s), retry_after_s=LOAD_RETRY_AFTER_S).info()
        return self._channel

    async def _supervise(self) -> None:
        """Run workers, one after another, until one cannot load or too many have died."""
        rules = self._supervision
        while not self._closing.is_set():
            try:
                how = await self._run_worker()
            except OSError as error:
                how = f"the engine process could not be started ({error})"
                self._load_error = Unavailable(how).info()
            if self._closing.is_set():
                return
            if self._load_error is None and not self._settled.is_set():
                self._load_error = EngineDied(f"{how} while the model was loading").info()
            if self._load_error is not None:
                self._stay_down(self._load_error)
                return
            now_s = time.monotonic()
            self._deaths.append(now_s)
            while self._deaths[0] < now_s - rules.window_s:
                self._deaths.popleft()
            if len(self._deaths) >= rules.max_deaths:
                self._stay_down(
                    EngineDied(
                        f"the engine died {len(self._deaths)} times in {rules.window_s:g} s and "
                        f"stays down (at last {how}); look at the log, then start it again"
                    ).info()
                )
                return
            delay_s = min(rules.max_delay_s, rules.first_delay_s * 2 ** (len(self._deaths) - 1))
            log.error("event=engine_died reason=%r restart_in_s=%g", how, delay_s)
            self._reason = f"{how} and is being restarted"
            self._retry_after_s = delay_s + 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), delay_s)

    def _stay_down(self, error: ErrorInfo) -> None:
        """Give up for good; every later request hears why."""
        log.error("event=engine_down reason=%r", error.message)
        self._reason, self._retry_after_s = error.message, None
        self._load_error = error
        self._settled.set()

    async def _run_worker(self) -> str:
        """Start one worker and listen to it until it ends; returns how it ended, as a clause."""
        process, channel = await self._spawn()
        self.pid = process.pid
        exiting = asyncio.create_task(process.wait())
        listening = asyncio.create_task(self._listen(channel))
        hanging = asyncio.create_task(self._watch_silence())
        closing = asyncio.create_task(self._closing.wait())
        grace_s = 0.0
        try:
            await asyncio.wait(
                {exiting, listening, hanging, closing}, return_when=asyncio.FIRST_COMPLETED
            )
            if hanging.done():
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(STACKS_SIGNAL)  # its last words go to the log
            if not closing.done():
                # Either the process or its socket ends first; what the other has to say counts.
                await asyncio.wait({exiting, listening}, timeout=LAST_WORDS_S)
            elif self._channel is not None:  # A worker that still loads has nothing to finish.
                grace_s = self._supervision.close_s
        finally:
            self._channel = None
            self.pid = None
            for task in (closing, hanging, listening):
                task.cancel()
            verdicts = await asyncio.gather(listening, hanging, return_exceptions=True)
            await channel.close()
            await _end(process, exiting, grace_s=grace_s)
        how = _how_it_ended(process.returncode)
        for verdict in verdicts:
            if isinstance(verdict, str):
                how = f"the engine process {verdict} and was stopped"
            elif isinstance(verdict, Exception):
                log.error("event=listening_failed", exc_info=verdict)
        self._calls.fail_all(EngineDied(f"{how} before the answer was complete; ask again").info())
        return how

    async def _spawn(self) -> tuple[asyncio.subprocess.Process, Channel[Reply, Command]]:
        ours, theirs = socket.socketpair()
        try:
            # A session of its own: Ctrl-C reaches this process alone, and what the worker leaves
            # behind can be killed with it.
            process = await asyncio.create_subprocess_exec(
                *self._command,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        try:
            return process, await to_worker(ours)
        except BaseException:  # nobody else knows of the process yet
            ours.close()
            await _end(process, asyncio.create_task(process.wait()), grace_s=0.0)
            raise

    async def _watch_silence(self) -> str:
        """Return, with a verdict, when a loaded worker has been silent or stuck for too long."""
        hang_s, stuck_s = self._supervision.hang_s, self._supervision.stuck_s
        while True:
            silent_s = time.monotonic() - self._heard_s
            if self._channel is not None and silent_s >= hang_s:
                return f"was silent for {hang_s:g} s"
            if self._channel is not None and self._health.heartbeat_age_s + silent_s >= stuck_s:
                return f"made no progress for {stuck_s:g} s"
            await asyncio.sleep(min(1.0, hang_s / 4, stuck_s / 4))

    async def _listen(self, channel: Channel[Reply, Command]) -> str | None:
        """Take the worker's replies until the connection ends; return a verdict on its faults."""
        try:
            while (received := await channel.receive()) is not None:
                reply, num_bytes = received
                self._take(channel, reply, num_bytes=num_bytes)
        except BrokenFrame as error:
            return f"sent nonsense ({error})"
        return None

    def _take(self, channel: Channel[Reply, Command], reply: Reply, *, num_bytes: int) -> None:
        match reply:
            case Heartbeat(health=health):
                self._health, self._heard_s = health, time.monotonic()
            case Loading(step=step, done=done, total=total):
                self._on_progress(step, done, total)
            case Loaded(models=models, health=health):
                self._models, self._health, self._channel = models, health, channel
                self._heard_s = time.monotonic()
                self._settled.set()
            case LoadFailed(error=error):
                self._load_error = error
            case _:
                if not self._calls.take(reply, num_bytes=num_bytes):
                    channel.post(Cancel(call_id=reply.call_id))


async def _end(
    process: asyncio.subprocess.Process, exiting: asyncio.Task[int], *, grace_s: float
) -> None:
    """Wait for the process, kill it when it takes too long, and kill what it left behind."""
    try:
        await asyncio.wait({exiting}, timeout=grace_s)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    await exiting


def _silence(silent_s: float) -> str:
    return f"the engine process has been silent for {silent_s:.0f} s"


def _how_it_ended(status: int | None) -> str:
    """Say how a process ended, as a clause."""
    if status is None or status >= 0:
        return f"the engine process ended with status {status}"
    if -status == signal.SIGKILL:
        return "the engine process was killed (SIGKILL; perhaps memory ran out)"
    return f"the engine process was killed by signal {-status} ({signal.strsignal(-status)})"
