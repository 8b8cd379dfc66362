"""The far half of a remote service: runs any service and answers for it over a socket.

Not here: starting, watching and restarting this half (core.remote); which service it runs.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine

from myna.core.errors import ErrorInfo, InternalError, MynaError
from myna.core.events import Event, Failed
from myna.core.frames import (
    CallFailed,
    Cancel,
    Channel,
    Command,
    Detokenize,
    Ended,
    Generate,
    Heartbeat,
    Loaded,
    LoadFailed,
    Loading,
    Render,
    Reply,
    Streamed,
    Tokenize,
    Tokenized,
    Written,
    to_asker,
)
from myna.core.progress import Progress
from myna.core.requests import Request
from myna.core.service import Service

HEARTBEAT_S = 0.5
PROGRESS_S = 0.1
CLOSE_S = 5.0
STACKS_SIGNAL = signal.SIGUSR1

LoadService = Callable[[Progress], Service]

log = logging.getLogger("myna.worker")


def run_worker(load: LoadService, *, socket_fd: int) -> None:
    """Be the worker process: load a service, serve it over an inherited socket, and end.

    `STACKS_SIGNAL` makes it write to stderr where each of its threads is.

    Args:
        load: makes the service; runs in a thread of its own, may take minutes.
        socket_fd: the number that `ProcessService` appended to the command.
    """
    os.set_inheritable(socket_fd, False)
    faulthandler.register(STACKS_SIGNAL)
    logging.basicConfig(stream=sys.stderr, format="level=%(levelname)s logger=%(name)s %(message)s")

    async def serve_and_leave() -> None:
        try:
            status = await serve_worker(load, socket.socket(fileno=socket_fd))
        except Exception:
            log.exception("event=worker_failed")
            status = 1
        sys.stderr.flush()
        # A thread that still loads, or an engine that hangs, must not keep an orphan alive.
        os._exit(status)

    asyncio.run(serve_and_leave())


async def serve_worker(load: LoadService, sock: socket.socket) -> int:
    """Load a service and answer commands until the asking half is gone.

    Returns:
        The exit status: 0 when the asking half left, else that of the error that stopped loading.
    """
    channel = await to_asker(sock)
    first_command = asyncio.create_task(channel.receive())
    loading = asyncio.create_task(asyncio.to_thread(load, _report_to(channel)))
    try:
        await asyncio.wait({first_command, loading}, return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            log.info("event=asker_left while=loading")
            return 0
        try:
            service = loading.result()
        except Exception as error:  # noqa: BLE001 -- a process boundary: any fault must be told
            await channel.send(LoadFailed(error=_describe(error, "loading the model failed")))
            return error.exit_code if isinstance(error, MynaError) else 1
        await _Worker(service, channel).serve(first_command)
        return 0
    finally:
        first_command.cancel()
        await asyncio.gather(first_command, return_exceptions=True)
        await channel.close()


def _report_to(channel: Channel[Command, Reply]) -> Progress:
    """Make a progress callback that may be called from any thread, however often."""
    loop = asyncio.get_running_loop()
    last_s = -PROGRESS_S

    def report(step: str, done: int, total: int) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= PROGRESS_S or done == total:
            last_s = now_s
            loop.call_soon_threadsafe(channel.post, Loading(step=step, done=done, total=total))

    return report


def _describe(error: BaseException, what: str) -> ErrorInfo:
    """Turn any exception into what the asking half may see; faults of our own go to the log."""
    if isinstance(error, MynaError):
        return error.info()
    log.error("event=fault what=%r", what, exc_info=error)
    if isinstance(error, MemoryError):
        return InternalError(f"{what}: memory ran out; see the log").info()
    return InternalError(f"{what}; see the log").info()


class _Worker:
    """Answer commands with a service, any number of them at once."""

    def __init__(self, service: Service, channel: Channel[Command, Reply]) -> None:
        self._service = service
        self._channel = channel
        self._answers: dict[int, asyncio.Task[None]] = {}

    async def serve(self, first_command: asyncio.Task[tuple[Command, int] | None]) -> None:
        """Answer until the connection ends, then close the service."""
        beating = asyncio.create_task(self._beat())
        try:
            models, health = await self._service.models(), await self._service.health()
            await self._channel.send(Loaded(models=models, health=health))
            received = await first_command
            while received is not None:
                self._obey(received[0])
                received = await self._channel.receive()
        finally:
            tasks = [beating, *self._answers.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.wait_for(self._service.close(), CLOSE_S)

    def _obey(self, command: Command) -> None:
        match command:
            case Generate(call_id=call_id, request=request):
                self._start(call_id, self._stream(call_id, request))
            case Tokenize() | Detokenize() | Render():
                self._start(command.call_id, self._reply(command))
            case Cancel(call_id=call_id):
                if call_id in self._answers:
                    self._answers[call_id].cancel()

    def _start(self, call_id: int, answer: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(answer)
        self._answers[call_id] = task
        task.add_done_callback(lambda _: self._answers.pop(call_id, None))

    async def _stream(self, call_id: int, request: Request) -> None:
        events = self._service.generate(request)
        try:
            async for event in events:
                await self._channel.send(Streamed(call_id=call_id, event=event))
        except Exception as error:  # noqa: BLE001 -- a process boundary: the caller must hear of it
            info = _describe(error, f"request {request.id} met a fault of the engine")
            failure: Event = Failed(error=info)
            await self._channel.send(Streamed(call_id=call_id, event=failure))
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()
        await self._channel.send(Ended(call_id=call_id))

    async def _reply(self, command: Tokenize | Detokenize | Render) -> None:
        reply: Reply
        try:
            match command:
                case Tokenize(call_id=call_id, text=text):
                    token_ids = await self._service.tokenize(text)
                    reply = Tokenized(call_id=call_id, token_ids=token_ids)
                case Detokenize(call_id=call_id, token_ids=token_ids):
                    written = await self._service.detokenize(token_ids)
                    reply = Written(call_id=call_id, text=written)
                case Render(call_id=call_id, chat=chat):
                    written = await self._service.render(chat)
                    reply = Written(call_id=call_id, text=written)
            await self._channel.send(reply)
        except Exception as error:  # noqa: BLE001 -- a process boundary: the caller must hear of it
            info = _describe(error, "tokenizing met a fault of the engine")
            await self._channel.send(CallFailed(call_id=command.call_id, error=info))

    async def _beat(self) -> None:
        while True:
            try:
                self._channel.post(Heartbeat(health=await self._service.health()))
            except Exception:
                # The asker takes silence for what it is, and ends this process in time.
                log.exception("event=health_failed")
            await asyncio.sleep(HEARTBEAT_S)
