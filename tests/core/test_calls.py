"""Open calls: answers reach whoever awaits them, and late ones reach nobody."""

from __future__ import annotations

import pytest

from myna.core.calls import MAX_UNREAD_BYTES, Calls
from myna.core.errors import InternalError, RemoteError
from myna.core.events import Failed, TextDelta
from myna.core.frames import CallFailed, Ended, Streamed, Tokenized

DELTA = TextDelta(index=0, text="x")
ERROR = InternalError("broken").info()


async def test_a_stream_yields_its_events_and_ends() -> None:
    calls = Calls()
    call_id, stream = calls.open_stream()
    assert calls.take(Streamed(call_id=call_id, event=DELTA), num_bytes=10)
    assert calls.take(Ended(call_id=call_id), num_bytes=1)
    assert [event async for event in stream.read()] == [DELTA]
    assert stream.num_unread_bytes == 0


async def test_what_comes_after_the_end_or_for_nobody_is_dropped() -> None:
    calls = Calls()
    call_id, stream = calls.open_stream()
    stream.end(ERROR)
    calls.take(Streamed(call_id=call_id, event=DELTA), num_bytes=10)
    calls.take(Ended(call_id=call_id), num_bytes=1)
    assert [event async for event in stream.read()] == [Failed(error=ERROR)]
    for stranger in (
        Streamed(call_id=99, event=DELTA),
        Ended(call_id=99),
        Tokenized(call_id=99, token_ids=()),
        CallFailed(call_id=99, error=ERROR),
    ):
        assert calls.take(stranger, num_bytes=1)


async def test_unread_bytes_above_the_limit_end_the_stream_and_ask_for_a_cancel() -> None:
    calls = Calls()
    call_id, stream = calls.open_stream()
    assert calls.take(Streamed(call_id=call_id, event=DELTA), num_bytes=MAX_UNREAD_BYTES)
    assert not calls.take(Streamed(call_id=call_id, event=DELTA), num_bytes=1)
    *_, last = [event async for event in stream.read()]
    assert isinstance(last, Failed)
    assert last.error.code == "slow_reader"
    assert "read faster" in last.error.message


async def test_replies_resolve_once() -> None:
    calls = Calls()
    call_id, reply = calls.open_reply()
    calls.take(Tokenized(call_id=call_id, token_ids=(1, 2)), num_bytes=1)
    calls.take(CallFailed(call_id=call_id, error=ERROR), num_bytes=1)
    assert await reply == Tokenized(call_id=call_id, token_ids=(1, 2))
    call_id, reply = calls.open_reply()
    calls.fail_all(ERROR)
    calls.take(Tokenized(call_id=call_id, token_ids=(1, 2)), num_bytes=1)
    with pytest.raises(RemoteError, match="broken"):
        await reply


async def test_a_closed_call_is_forgotten() -> None:
    calls = Calls()
    stream_id, _ = calls.open_stream()
    reply_id, _ = calls.open_reply()
    assert len(calls) == 2
    calls.close(stream_id)
    calls.close(reply_id)
    assert len(calls) == 0
