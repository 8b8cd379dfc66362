"""What a check reports, and how it asks."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from myna.core.errors import RemoteError
from myna.core.events import Event, Failed
from myna.core.requests import Input, Request, RequestId, SamplingParams, Speech
from myna.core.service import Service


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Report one check: what was looked at, whether it passed, and what was seen."""

    name: str
    passed: bool
    detail: str


async def ask(
    service: Service, asked: Input, sampling: SamplingParams, *, speech: Speech | None = None
) -> list[Event]:
    """Answer one request whole.

    Raises:
        RemoteError: the request failed.
    """
    request_id = RequestId(f"check-{secrets.token_hex(8)}")
    request = Request(id=request_id, input=asked, sampling=sampling, speech=speech)
    events = [event async for event in service.generate(request)]
    if isinstance(events[-1], Failed):
        raise RemoteError(events[-1].error)
    return events
