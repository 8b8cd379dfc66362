"""Streams: framing, pings, errors on the way, and clients that hang up."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from myna.core.errors import DeadlineExceeded, InternalError, Overloaded
from myna.server.errors import ClientGone
from myna.server.sse import DONE, EventStream, WholeAnswer, frame, until_gone

SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": []}


class Client:
    """Stand for the two ends of an ASGI connection."""

    def __init__(self, *, hangs_up_after: int | None = None) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self.hangs_up_after = hangs_up_after

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if self.hangs_up_after is not None and len(self.sent) >= self.hangs_up_after:
            self.gone.set()
        await asyncio.sleep(0)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


class Words:
    """Yield payloads, then wait or raise; remember having been closed."""

    def __init__(self, *payloads: bytes, then: Exception | float | None = None) -> None:
        self.payloads = payloads
        self.then = then
        self.is_closed = False

    async def stream(self) -> AsyncGenerator[bytes, None]:
        try:
            for payload in self.payloads:
                yield payload
            if isinstance(self.then, Exception):
                raise self.then
            if self.then is not None:
                await asyncio.sleep(self.then)
        finally:
            self.is_closed = True


def events(words: Words, *, ping_s: float = 60.0, timeout_s: float = 60.0) -> EventStream:
    return EventStream(words.stream(), ping_s=ping_s, timeout_s=timeout_s, request_id="req_1")


@settings(deadline=None)
@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_json_survives_framing(value: object) -> None:
    framed = frame(msgspec.json.encode(value)).decode()
    # The reader of the specification: lines end in CR, LF or both; an empty line ends the event.
    lines = framed.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert lines[1:] == ["", ""]
    name, _, data = lines[0].partition(": ")
    assert (name, json.loads(data)) == ("data", value)


async def test_a_stream_ends_with_done() -> None:
    client = Client()
    await events(Words(b"1", b"2"))(SCOPE, client.receive, client.send)
    assert client.body == b"data: 1\n\ndata: 2\n\n" + DONE
    assert client.sent[0]["status"] == 200
    assert [message.get("more_body") for message in client.sent[1:]] == [True, True, False]


async def test_an_error_before_the_first_event_sends_nothing() -> None:
    client = Client()
    with pytest.raises(Overloaded):
        await events(Words(then=Overloaded("full")))(SCOPE, client.receive, client.send)
    assert client.sent == []


async def test_an_error_later_is_an_event_and_no_done_follows() -> None:
    client = Client()
    await events(Words(b"1", then=InternalError("it broke")))(SCOPE, client.receive, client.send)
    assert client.body.endswith(
        b'data: {"error":{"message":"it broke","type":"server_error","param":null,'
        b'"code":"internal_error"}}\n\n'
    )


async def test_a_fault_of_ours_is_logged_and_not_quoted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Client()
    words = Words(b"1", then=ZeroDivisionError("a secret"))
    with caplog.at_level(logging.ERROR, logger="myna.server"):
        await events(words)(SCOPE, client.receive, client.send)
    assert b"a secret" not in client.body
    assert b"its log has the cause under req_1" in client.body
    assert "request_id=req_1" in caplog.text


async def test_silence_is_filled_with_comments() -> None:
    client = Client()
    words = Words(b"1", then=0.1)
    await events(words, ping_s=0.02)(SCOPE, client.receive, client.send)
    assert 1 <= client.body.count(b": ping\n\n") <= 5
    assert client.body.endswith(DONE)


@pytest.mark.parametrize("num_messages", [1, 2, 3])
async def test_a_hang_up_closes_the_source(num_messages: int) -> None:
    client = Client(hangs_up_after=num_messages)
    words = Words(b"1", b"2", then=60.0)
    await events(words)(SCOPE, client.receive, client.send)
    assert words.is_closed


async def test_a_hang_up_before_the_first_event_is_told() -> None:
    client = Client()
    words = Words(then=60.0)
    task = asyncio.create_task(events(words)(SCOPE, client.receive, client.send))
    await asyncio.sleep(0)
    client.gone.set()
    with pytest.raises(ClientGone, match="The client hung up"):
        await task
    assert client.sent == []


async def test_a_stream_that_takes_too_long_ends_with_an_error() -> None:
    client = Client()
    words = Words(b"1", then=60.0)
    await events(words, timeout_s=0.05)(SCOPE, client.receive, client.send)
    assert words.is_closed
    *_, last, end = client.body.split(b"\n\n")
    assert b"The answer was not finished within 0.05 s." in last
    assert (end, client.sent[-1]["more_body"]) == (b"", False)


async def test_an_answer_that_never_begins_is_given_up() -> None:
    client = Client()
    words = Words(then=60.0)
    with pytest.raises(DeadlineExceeded, match=r"not finished within 0.05 s"):
        await events(words, timeout_s=0.05)(SCOPE, client.receive, client.send)
    assert (words.is_closed, client.sent) == (True, [])


async def test_a_whole_answer_is_sent_at_once() -> None:
    async def body() -> bytes:
        return b"{}"

    client = Client()
    await WholeAnswer(body, timeout_s=1.0)(SCOPE, client.receive, client.send)
    assert client.body == b"{}"


async def test_cancelling_from_outside_cancels_the_work() -> None:
    client = Client()
    was_cancelled = False

    async def work() -> None:
        nonlocal was_cancelled
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            was_cancelled = True
            raise

    task = asyncio.create_task(until_gone(work(), client.receive, timeout_s=60.0))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert was_cancelled
