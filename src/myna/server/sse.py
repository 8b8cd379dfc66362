"""Answers that take a while: streams of events, and whole bodies; a hang-up ends both.

Not here: what an event says (render).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from myna.core.errors import DeadlineExceeded, ErrorInfo, MynaError
from myna.server.errors import ClientGone, error_body, internal_error

log = logging.getLogger("myna.server")

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
NAME_AT = len(b'{"type":"')


def frame(payload: bytes) -> bytes:
    """Wrap one line of JSON as an event; encoders escape line breaks, so one line it is."""
    return b"data: " + payload + b"\n\n"


def named_frame(payload: bytes) -> bytes:
    """Wrap an event whose first field, `type`, is its name."""
    name = payload[NAME_AT : payload.index(b'"', NAME_AT)]
    return b"event: " + name + b"\n" + frame(payload)


@dataclass(frozen=True, kw_only=True)
class Framing:
    """Say how events are told apart on the wire.

    Attributes:
        frame: wraps the JSON of one event.
        error: writes the event of an error, not wrapped yet.
        end: what follows the last event, unless an error does.
        ping: what keeps a silent stream open; nothing if empty.
    """

    media_type: bytes = b"text/event-stream; charset=utf-8"
    frame: Callable[[bytes], bytes] = frame
    error: Callable[[ErrorInfo], bytes] = error_body
    end: bytes = b""
    ping: bytes = PING


EVENTS = Framing()  # the last event says that it is the last
CHAT_EVENTS = Framing(end=DONE)


async def until_gone(
    work: Coroutine[None, None, None], receive: Receive, *, timeout_s: float
) -> None:
    """Run `work`, but cancel it once the client hangs up or the time is over.

    Raises:
        ClientGone: the client hung up.
        DeadlineExceeded: the time was over.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_hang_up(receive))
    try:
        done, _ = await asyncio.wait(
            {task, gone}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)
    if task in done:
        task.result()
    elif gone in done:
        raise ClientGone("The client hung up.")
    else:
        raise DeadlineExceeded(f"The answer was not finished within {timeout_s:g} s.")


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class WholeAnswer(Response):
    """Answer with a body, usually JSON, once it is ready; errors still have their own status."""

    def __init__(
        self,
        body: Callable[[], Awaitable[bytes]],
        *,
        timeout_s: float,
        media_type: str = "application/json",
    ) -> None:
        self.make_body = body
        self.timeout_s = timeout_s
        self.body_type = media_type
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run as an ASGI application."""

        async def work() -> None:
            body = await self.make_body()
            await Response(body, media_type=self.body_type)(scope, receive, send)

        await until_gone(work(), receive, timeout_s=self.timeout_s)


class EventStream(Response):
    """Answer with a stream of events.

    Nothing is sent before the first event, so a refusal has its own status; an error later on is an
    event, and the stream ends without what ends good ones.

    Args:
        payloads: the JSON of each event.
        framing: how the events are told apart.
        ping_s: silence after which a comment is sent.
        timeout_s: time that the whole stream may take.
        request_id: names this request in the log.
    """

    def __init__(
        self,
        payloads: AsyncGenerator[bytes, None],
        *,
        ping_s: float,
        timeout_s: float,
        request_id: str,
        framing: Framing = CHAT_EVENTS,
    ) -> None:
        self.payloads = payloads
        self.framing = framing
        self.ping_s = ping_s
        self.timeout_s = timeout_s
        self.request_id = request_id
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run as an ASGI application."""
        started = asyncio.Event()
        try:
            work = self._stream(send, started)
            await until_gone(work, receive, timeout_s=self.timeout_s)
        except (ClientGone, DeadlineExceeded) as error:
            if not started.is_set():
                raise
            log.info("event=cut_off request_id=%s code=%s", self.request_id, error.code)
            end = self._error(error.info())
            await send({"type": "http.response.body", "body": end, "more_body": False})

    async def _stream(self, send: Send, started: asyncio.Event) -> None:
        async with aclosing(self.payloads) as payloads:
            first = await anext(payloads)
            started.set()
            headers = [
                (b"content-type", self.framing.media_type),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            writer = _Writer(send)
            pinger = asyncio.create_task(writer.ping(self.framing.ping, every_s=self.ping_s))
            try:
                end = await self._copy(writer, first, payloads)
            finally:
                pinger.cancel()
        await send({"type": "http.response.body", "body": end, "more_body": False})

    async def _copy(
        self, writer: _Writer, first: bytes, payloads: AsyncGenerator[bytes, None]
    ) -> bytes:
        """Send all events; returns the bytes that end the stream."""
        try:
            await writer.write(self.framing.frame(first))
            async for payload in payloads:
                await writer.write(self.framing.frame(payload))
        except MynaError as error:
            return self._error(error.info())
        except Exception as error:  # noqa: BLE001 - the boundary: logged, and the client is told
            return self._error(internal_error(error, request_id=self.request_id))
        return self.framing.end

    def _error(self, info: ErrorInfo) -> bytes:
        return self.framing.frame(self.framing.error(info))


class ByteStream(Response):
    """Answer with bytes as they come, such as a sound.

    Nothing is sent before the first piece, so a refusal has its own status. Later there is no place
    for an error: the connection breaks off, which clients tell from an end.

    Args:
        pieces: the bytes.
        media_type: what they are.
        timeout_s: time that all of it may take.
        request_id: names this request in the log.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        timeout_s: float,
        request_id: str,
    ) -> None:
        self.pieces = pieces
        self.body_type = media_type
        self.timeout_s = timeout_s
        self.request_id = request_id
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run as an ASGI application."""
        await until_gone(self._stream(send), receive, timeout_s=self.timeout_s)

    async def _stream(self, send: Send) -> None:
        headers = [(b"content-type", self.body_type.encode("ascii"))]
        async with aclosing(self.pieces) as pieces:
            first = await anext(pieces)
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            try:
                await send({"type": "http.response.body", "body": first, "more_body": True})
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except MynaError as error:
                log.warning("event=cut_off request_id=%s code=%s", self.request_id, error.code)
                raise
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Writer:
    """Send pieces of a body, and comments while nothing else is sent."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.last_s = time.monotonic()

    async def write(self, data: bytes) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": True})
        self.last_s = time.monotonic()

    async def ping(self, ping: bytes, *, every_s: float) -> None:
        while ping:
            await asyncio.sleep(max(0.0, self.last_s + every_s - time.monotonic()))
            if time.monotonic() >= self.last_s + every_s:
                await self.write(ping)
