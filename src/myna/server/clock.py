"""A clock against clients that keep a connection waiting."""

from __future__ import annotations

import asyncio


class Clock:
    """Drop a connection unless the clock is stopped within `limit_s` of its start."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self, transport: asyncio.Transport) -> None:
        """Begin to count; a clock that counts already goes on."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._limit_s, transport.abort)

    def stop(self) -> None:
        """Forget about it, until the next start."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
