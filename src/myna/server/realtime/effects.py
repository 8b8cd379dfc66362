"""What a session wants done that is no event: by whoever carries the call."""

from __future__ import annotations

from dataclasses import dataclass

from myna.core.requests import Request
from myna.server.realtime.server_events import ServerEvent


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Ask the service; its events go to `Session.served` under this key."""

    key: str
    request: Request


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Cancel what was asked under a key, and send none of its sound that still waits."""

    key: str


@dataclass(frozen=True, kw_only=True)
class Close:
    """End the connection after what was said so far."""

    code: int
    reason: str


Output = ServerEvent | Ask | Stop | Close
