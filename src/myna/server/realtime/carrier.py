"""One call on a WebSocket: frames in, frames out, and a task for each thing asked of the service.

Whatever ends the call ends its tasks. Not here: what is said (session).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

from myna.core.errors import InvalidRequest, MynaError
from myna.core.events import Failed
from myna.core.requests import Request
from myna.server.context import Context
from myna.server.errors import internal_error
from myna.server.realtime.client_events import event_id_of, read_event
from myna.server.realtime.effects import Ask, Close, Output, Stop
from myna.server.realtime.limits import RealtimeLimits
from myna.server.realtime.server_events import ServerEvent, SoundDelta
from myna.server.realtime.session import Session
from myna.server.render import events_of

log = logging.getLogger("myna.server")

GOING_AWAY, INTERNAL_ERROR = 1001, 1011
MAX_TICK_S = 1.0
LAST_ANSWERS_S = 0.05


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """A frame that waits to be sent; `sound_of` is the answer whose sound it holds."""

    text: str
    sound_of: str | None = None


class Carrier:
    """Carry one call from its greeting to its end."""

    def __init__(
        self, websocket: WebSocket, session: Session, context: Context, *, limits: RealtimeLimits
    ) -> None:
        self._websocket = websocket
        self._session = session
        self._context = context
        self._limits = limits
        self._frames: deque[_Frame] = deque()
        self._unsent_bytes = 0
        self._has_frames = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._close: Close | None = None
        self._asks: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._num_events = 0

    async def run(self) -> None:
        """Carry the call; returns when it has ended, with nothing left behind."""
        self._do(self._session.open())
        ends = [asyncio.create_task(work) for work in (self._read(), self._write(), self._watch())]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except Exception as error:  # noqa: BLE001 - the boundary: logged, and the client is told
            key = self._websocket.scope["myna.request_key"]
            internal_error(error, request_id=f"req_{key}")
            await self._hang_up(Close(code=INTERNAL_ERROR, reason="internal error"))
        finally:
            tasks = [*ends, *self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        """Hand what the client says to the session, until it hangs up."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            now_s = time.monotonic()
            if text is None:
                error = InvalidRequest("Events are text frames of JSON, not binary frames.")
                self._do(self._session.refuse(error, event_id=None))
                continue
            try:
                event = read_event(text, limits=self._context.settings.limits)
            except MynaError as error:
                self._do(self._session.refuse(error, event_id=event_id_of(text)))
            else:
                self._do(self._session.receive(event, now_s=now_s))
            # Answers wait sooner: a client on a slow line must still be heard to interrupt them.
            if self._unsent_bytes > 2 * self._limits.max_unsent_bytes:
                await self._has_room.wait()

    async def _write(self) -> None:
        """Send what is to be said, in order; returns after the last of it if the call is over."""
        while True:
            if not self._frames:
                if self._close is not None:
                    await self._hang_up(self._close)
                    return
                self._has_frames.clear()
                await self._has_frames.wait()
                continue
            frame = self._frames.popleft()
            self._forget(frame)
            try:
                await self._websocket.send({"type": "websocket.send", "text": frame.text})
            except WebSocketDisconnect:
                return

    async def _watch(self) -> None:
        """Let the session do what is due, and tell it when the server is about to stop."""
        ending = self._context.calls.ending
        while not ending.is_set():
            wait_s = self._session.next_tick_s - time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(max(wait_s, 0.0), MAX_TICK_S)):
                    await ending.wait()
            now_s = time.monotonic()
            if now_s >= self._session.next_tick_s:
                self._do(self._session.tick(now_s=now_s))
        self._do(self._session.go_away())
        while self._session.num_open:
            await asyncio.sleep(LAST_ANSWERS_S)
        self._do([Close(code=GOING_AWAY, reason="the server stops")])
        await asyncio.Event().wait()

    async def _serve(self, key: str, request: Request) -> None:
        """Ask the service, and hand what it answers to the session."""
        try:
            with self._context.gate.admit() as ticket:
                ticket.start()
                async for event in events_of(self._context.service, request):
                    self._do(self._session.served(key, event, now_s=time.monotonic()))
                    await self._has_room.wait()
        except MynaError as error:
            self._fail(key, Failed(error=error.info()))
        except Exception as error:  # noqa: BLE001 - the boundary: logged, and the client is told
            self._fail(key, Failed(error=internal_error(error, request_id=request.id)))
        finally:
            if self._asks.get(key) is asyncio.current_task():  # It may have been asked again.
                del self._asks[key]

    def _fail(self, key: str, failed: Failed) -> None:
        self._do(self._session.served(key, failed, now_s=time.monotonic()))

    def _do(self, outputs: list[Output]) -> None:
        """Carry out what the session wants, without waiting for any of it."""
        for output in outputs:
            match output:
                case ServerEvent():
                    self._say(output)
                case Ask(key=key, request=request):
                    task = asyncio.create_task(self._serve(key, request))
                    self._asks[key] = task
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                case Stop(key=key):
                    self._stop(key)
                case Close():
                    self._close = self._close or output
                    self._has_frames.set()

    def _say(self, event: ServerEvent) -> None:
        self._num_events += 1
        key = self._websocket.scope["myna.request_key"]
        data = self._session.dialect.write(event, event_id=f"event_{key}{self._num_events:06}")
        if data is None:
            return
        sound_of = event.response_id if isinstance(event, SoundDelta) else None
        self._frames.append(_Frame(text=data.decode(), sound_of=sound_of))
        self._unsent_bytes += len(data)
        self._has_frames.set()
        if self._unsent_bytes > self._limits.max_unsent_bytes:
            self._has_room.clear()

    def _stop(self, key: str) -> None:
        """Cancel what was asked, and drop its sound that the client would only have to mute."""
        task = self._asks.pop(key, None)
        if task is not None:
            task.cancel()
        kept = [frame for frame in self._frames if frame.sound_of != key]
        if len(kept) < len(self._frames):
            for frame in self._frames:
                if frame.sound_of == key:
                    self._forget(frame)
            self._frames = deque(kept)

    def _forget(self, frame: _Frame) -> None:
        self._unsent_bytes -= len(frame.text)
        if self._unsent_bytes <= self._limits.max_unsent_bytes:
            self._has_room.set()

    async def _hang_up(self, close: Close) -> None:
        try:
            await self._websocket.close(code=close.code, reason=close.reason)
        except (WebSocketDisconnect, RuntimeError):
            log.info("event=hang_up_late reason=%r", close.reason)
