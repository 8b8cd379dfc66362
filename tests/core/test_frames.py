"""Frames: every message survives the way, and nothing but messages comes out."""

from __future__ import annotations

import asyncio
import socket

import pytest

from myna.core import frames
from myna.core.errors import TooLarge
from myna.core.frames import BrokenFrame, Cancel, Generate, Tokenize, to_asker, to_worker
from myna.core.messages import Message, TextPart, Tool, ToolCall, text_message
from myna.core.requests import (
    ChatInput,
    Constraint,
    Request,
    RequestId,
    SamplingParams,
    TokenInput,
)

FULL_REQUEST = Request(
    id=RequestId("r"),
    input=ChatInput(
        messages=(
            text_message("user", "what?"),
            Message(
                role="assistant",
                content=(TextPart("a"), TextPart("b")),
                reasoning="hm",
                tool_calls=(ToolCall(id="1", name="f", arguments="{}"),),
            ),
        ),
        tools=(Tool(name="f", description="d", parameters="{}"),),
        thinking=True,
    ),
    sampling=SamplingParams(temperature=0.5, logit_bias={3: -1.5}, stop=("x",)),
    constraint=Constraint(kind="regex", source="a+"),
    deadline_s=1.5,
)


@pytest.mark.parametrize(
    "command",
    [
        Generate(call_id=1, request=FULL_REQUEST),
        Generate(call_id=2, request=Request(id=RequestId("t"), input=TokenInput(token_ids=(1, 2)))),
        Cancel(call_id=3),
        Tokenize(call_id=4, text="ä\0🐦"),
    ],
)
async def test_a_command_arrives_as_it_was_sent(command: frames.Command) -> None:
    ours, theirs = socket.socketpair()
    asking, answering = await to_worker(ours), await to_asker(theirs)
    await asking.send(command)
    received = await answering.receive()
    assert received is not None
    assert received[0] == command
    await asking.close()
    assert await answering.receive() is None
    await answering.close()


async def test_a_message_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    asking = await to_worker(ours)
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 100)
    with pytest.raises(TooLarge, match=r"takes 1.. bytes, but 100 fit; shorten it"):
        asking.post(Tokenize(call_id=1, text="x" * 100))
    await asking.close()
    theirs.close()


async def test_posting_to_a_closed_connection_does_nothing() -> None:
    ours, theirs = socket.socketpair()
    asking = await to_worker(ours)
    theirs.close()
    await asking.close()
    for _ in range(10):
        asking.post(Cancel(call_id=1))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xff\xff\xff", "a frame claims 4294967295 bytes"),
        (b"\0\0\0\1\xc1", "a frame of 1 bytes is no message"),
        (b"\0\0\0\1\x80", "a frame of 1 bytes is no message"),
        (b"\0\0\0\x0b\x81\xa4type\xa4quit", "a frame of 11 bytes is no message"),
    ],
)
async def test_anything_else_is_a_broken_frame(data: bytes, message: str) -> None:
    ours, theirs = socket.socketpair()
    answering = await to_asker(ours)
    theirs.sendall(data)
    with pytest.raises(BrokenFrame, match=message):
        await answering.receive()
    await answering.close()
    theirs.close()


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\0\0\0\x09abc"])
async def test_a_connection_cut_anywhere_is_an_end(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    answering = await to_asker(ours)
    theirs.sendall(data)
    theirs.close()
    async with asyncio.timeout(10):
        assert await answering.receive() is None
    await answering.close()
