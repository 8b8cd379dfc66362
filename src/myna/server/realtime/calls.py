"""What all calls of one server share: the network that finds speech, and how many they are.

Not here: a single call (session, carrier).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from myna.core.errors import Overloaded, Unavailable
from myna.media.turns import SpeechFinder, TurnDetector
from myna.media.voice_activity import VoiceActivity
from myna.server.realtime.config import SessionConfig, TurnDetection
from myna.server.realtime.limits import RealtimeLimits

RETRY_AFTER_S = 5.0
MAX_PRESETS = 4096


class Calls:
    """Count calls, and lend them what they share."""

    def __init__(self, limits: RealtimeLimits | None = None) -> None:
        self.limits = limits or RealtimeLimits()
        self.num_open = 0
        self.ending = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()
        self._num_by_owner: Counter[str] = Counter()
        self._network: VoiceActivity | None = None
        self._presets: OrderedDict[bytes, SessionConfig] = OrderedDict()

    def preset(self, secret: str, config: SessionConfig) -> None:
        """Set up the calls that will begin with a client secret; the oldest are forgotten."""
        self._presets[_digest(secret)] = config
        while len(self._presets) > MAX_PRESETS:
            self._presets.popitem(last=False)

    def config_of(self, secret: str) -> SessionConfig | None:
        """Find the set-up that belongs to a secret, if it has one."""
        return self._presets.get(_digest(secret))

    @contextmanager
    def admit(self, owner: str, *, is_draining: bool) -> Iterator[None]:
        """Let a call of an owner in for as long as the block lasts.

        Raises:
            Unavailable: the server is about to stop.
            Overloaded: too many calls are open.
        """
        if is_draining:
            raise Unavailable("The server is shutting down.", retry_after_s=RETRY_AFTER_S)
        if self.num_open >= self.limits.max_sessions:
            raise Overloaded(
                f"{self.num_open} calls are open, the most this server takes; try again soon.",
                retry_after_s=RETRY_AFTER_S,
            )
        if owner and self._num_by_owner[owner] >= self.limits.max_sessions_per_key:
            raise Overloaded(
                f"{self._num_by_owner[owner]} calls are open under this key, the most it may have; "
                "end one first.",
                retry_after_s=RETRY_AFTER_S,
            )
        self.num_open += 1
        self._num_by_owner[owner] += 1
        self.idle.clear()
        try:
            yield
        finally:
            self.num_open -= 1
            self._num_by_owner[owner] -= 1
            if not self._num_by_owner[owner]:
                del self._num_by_owner[owner]
            if self.num_open == 0:
                self.idle.set()

    async def end(self) -> None:
        """Tell all calls that the server stops, and wait until the last of them has ended."""
        self.ending.set()
        await self.idle.wait()

    def make_finder(self, detection: TurnDetection, rate_hz: int) -> SpeechFinder:
        """Make what finds turns in one stream; the network is read with the first."""
        if self._network is None:
            self._network = VoiceActivity.load()
        return TurnDetector(
            self._network,
            rate_hz=rate_hz,
            threshold=detection.threshold,
            silence_s=detection.silence_s,
        )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
