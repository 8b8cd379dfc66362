"""The corpus of bad requests: each gets one of its statuses, and leaves nothing behind."""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import Any

import pytest

from bad_requests import BadRequest, corpus

ALL = tuple(corpus())
KINDS = ("malformed", "typed", "text", "schema", "base64", "form")


def send(live: Any, bad: BadRequest) -> tuple[int, bytes]:
    kind = f"Content-Type: {bad.content_type}\r\n" if bad.content_type else ""
    head = (
        f"POST {bad.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{kind}"
        f"Content-Length: {len(bad.body)}\r\n\r\n"
    )
    status, _, body = live.exchange(head.encode() + bad.body)
    return status, body


def test_the_corpus_is_large_and_always_the_same() -> None:
    counts = Counter(bad.kind for bad in ALL)
    assert set(counts) == set(KINDS)
    assert len(ALL) >= 300
    assert tuple(corpus()) == ALL


@pytest.mark.parametrize("kind", KINDS)
def test_bad_requests_get_typed_answers_and_leave_nothing(
    live: Any, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    canary = live.canary()
    with caplog.at_level(logging.ERROR):
        for bad in ALL:
            if bad.kind != kind:
                continue
            status, body = send(live, bad)
            assert status in bad.allowed, (bad, status, body[:300])
            if status >= 400:
                error = json.loads(body)["error"]
                assert error if isinstance(error, str) else error["message"], bad
    assert not caplog.records
    live.wait_idle()
    assert live.canary() == canary
