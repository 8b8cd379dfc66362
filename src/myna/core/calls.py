"""The asking half's open calls: which answers are awaited, and what has come in for each.

Not here: the connection they travel over (core.frames) and the process that answers (core.remote).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

from myna.core.errors import ErrorInfo, Overloaded, RemoteError
from myna.core.events import Event, Failed
from myna.core.frames import CallFailed, Ended, Streamed, Tokenized, Written

MAX_UNREAD_BYTES = 2**20

Answer = Streamed | Ended | Tokenized | Written | CallFailed
Replied = Tokenized | Written


class Stream:
    """Hold the events of one request that its reader has not taken yet."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[tuple[Event | None, int]] = asyncio.Queue()
        self.num_unread_bytes = 0
        self.has_ended = False

    def add(self, event: Event, *, num_bytes: int) -> None:
        """Queue an event."""
        self.num_unread_bytes += num_bytes
        self._events.put_nowait((event, num_bytes))

    def end(self, error: ErrorInfo | None = None) -> None:
        """Let the stream end after what is queued, with a failure if one is given."""
        if self.has_ended:
            return
        self.has_ended = True
        if error is not None:
            self._events.put_nowait((Failed(error=error), 0))
        self._events.put_nowait((None, 0))

    async def read(self) -> AsyncIterator[Event]:
        """Yield the events as they come."""
        while True:
            event, num_bytes = await self._events.get()
            if event is None:
                return
            self.num_unread_bytes -= num_bytes
            yield event


class Calls:
    """Hand each answer to whoever awaits it."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._streams: dict[int, Stream] = {}
        self._replies: dict[int, asyncio.Future[Replied]] = {}

    def __len__(self) -> int:
        return len(self._streams) + len(self._replies)

    def open_stream(self) -> tuple[int, Stream]:
        """Expect a stream of events; the caller owes `close`."""
        call_id = next(self._ids)
        self._streams[call_id] = Stream()
        return call_id, self._streams[call_id]

    def open_reply(self) -> tuple[int, asyncio.Future[Replied]]:
        """Expect one answer; the caller owes `close`."""
        call_id = next(self._ids)
        reply: asyncio.Future[Replied] = asyncio.get_running_loop().create_future()
        self._replies[call_id] = reply
        return call_id, reply

    def close(self, call_id: int) -> None:
        """Expect nothing more."""
        self._streams.pop(call_id, None)
        self._replies.pop(call_id, None)

    def fail_all(self, error: ErrorInfo) -> None:
        """End every open call with an error."""
        for stream in self._streams.values():
            stream.end(error)
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(RemoteError(error))

    def take(self, answer: Answer, *, num_bytes: int) -> bool:
        """Hand an answer over; one that nobody awaits any more is dropped.

        Returns:
            Whether the other half may go on with this call; if not, it is to be cancelled.
        """
        call_id = answer.call_id
        match answer:
            case Streamed(event=event):
                return self._take_event(call_id, event, num_bytes=num_bytes)
            case Ended():
                if call_id in self._streams:
                    self._streams[call_id].end()
            case Tokenized() | Written():
                if call_id in self._replies and not self._replies[call_id].done():
                    self._replies[call_id].set_result(answer)
            case CallFailed(error=error):
                if call_id in self._replies and not self._replies[call_id].done():
                    self._replies[call_id].set_exception(RemoteError(error))
        return True

    def _take_event(self, call_id: int, event: Event, *, num_bytes: int) -> bool:
        stream = self._streams.get(call_id)
        if stream is None or stream.has_ended:
            return True  # Its reader left a moment ago, and the other half has been told.
        stream.add(event, num_bytes=num_bytes)
        if stream.num_unread_bytes <= MAX_UNREAD_BYTES:
            return True
        stream.end(
            Overloaded(
                f"the answer was stopped because {stream.num_unread_bytes} bytes of it waited "
                f"unread, above {MAX_UNREAD_BYTES}; read faster, or ask for less at once",
                code="slow_reader",
            ).info()
        )
        return False
