"""Bounds: what is refused, and when."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.core.errors import InvalidRequest, Overloaded, Unavailable
from myna.server.errors import Refused
from myna.server.limits import Gate, check_depth, check_headers
from myna.server.settings import Limits

SMALL = Limits(max_requests=1)


def test_bytes_are_held_up_to_the_limit_and_given_back() -> None:
    gate = Gate(Limits(max_held_bytes=100))
    with gate.admit() as first:
        first.hold(60)
        with gate.admit() as second, pytest.raises(Overloaded, match=r"take 60 bytes of 100"):
            second.hold(41)
    assert (gate.held_bytes, gate.num_open, gate.idle.is_set()) == (0, 0, True)


def test_more_requests_than_allowed_are_told_when_to_come_back() -> None:
    gate = Gate(SMALL)
    with gate.admit() as first:
        first.start()
        first.start()  # it has its place
        with pytest.raises(Overloaded, match=r"1 requests are open") as refusal:
            gate.admit().__enter__()
    assert refusal.value.retry_after_s == 1.0
    with gate.admit() as next_one:
        next_one.start()
    assert (gate.num_open, gate.num_at_work) == (0, 0)


def test_who_still_sends_takes_nobodys_place() -> None:
    gate = Gate(SMALL)
    with gate.admit() as slow, gate.admit() as quick:
        quick.start()
        with pytest.raises(Overloaded, match=r"1 requests are open"):
            slow.start()
    assert (gate.num_open, gate.num_at_work, gate.idle.is_set()) == (0, 0, True)


def test_so_many_may_send_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myna.server.limits.MAX_OPEN", 1)
    gate = Gate(Limits())
    with gate.admit(), pytest.raises(Overloaded, match=r"1 requests are being sent"):
        gate.admit().__enter__()


def test_a_draining_gate_lets_nobody_in() -> None:
    gate = Gate(SMALL)
    gate.is_draining = True
    with pytest.raises(Unavailable, match=r"shutting down"):
        gate.admit().__enter__()


def test_too_many_or_too_long_headers_are_refused() -> None:
    check_headers([(b"a", b"b")] * 100)
    with pytest.raises(Refused, match=r"101 headers of 202 bytes"):
        check_headers([(b"a", b"b")] * 101)
    with pytest.raises(Refused, match=r"1 headers of 16385 bytes"):
        check_headers([(b"a", b"b" * (16 * 1024))])


def test_two_ways_to_end_a_body_are_refused() -> None:
    with pytest.raises(Refused, match=r"Content-Length or Transfer-Encoding, not both"):
        check_headers([(b"content-length", b"1"), (b"transfer-encoding", b"chunked")])


def depth_of(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 0


JSON = st.recursive(
    st.none() | st.text('[]{}"\\ a\n'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('[]{}"\\a'), inner),
)


@settings(deadline=None)
@given(JSON, st.integers(1, 4), st.booleans())
def test_depth_is_that_of_the_decoded_value(value: object, limit: int, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    if depth_of(value) <= limit:
        check_depth(body, max_depth=limit)
    else:
        with pytest.raises(InvalidRequest, match=f"deeper than {limit} levels"):
            check_depth(body, max_depth=limit)


@pytest.mark.parametrize("body", [b'"' + b'\\"' * 10**6, b"[" * 10**6, b'"a' * 10**6 + b"[" * 99])
def test_hostile_text_is_read_in_linear_time(body: bytes) -> None:
    started_s = time.monotonic()
    with suppress(InvalidRequest):
        check_depth(body + b"[]" * 65, max_depth=64)
    assert time.monotonic() - started_s < 10.0  # Quadratic time would take hours.
