"""Who computes next: text and speech share the same cores, one step at a time.

Two steps at once would each take twice as long and wait for each other's threads. Speech has a
deadline, the moment at which a listener has heard all that there is; text fills the rest.

Not here: what a step is (loop, and whoever writes text).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# With so much sound ahead of the listener, text goes first.
ENOUGH_S = 0.5
# Speech that is late lets text have a step after so many of its own, since it has nothing to say
# without text.
MAX_IN_A_ROW = 4


class Turns:
    """Let one step run at a time. Safe from any thread; a thread must not nest its turns."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_running = False
        self._text_waits = 0
        self._speech_waits = 0
        self._deadline_s = 0.0
        self._in_a_row = 0
        self._text_is_next = False

    @contextmanager
    def text(self) -> Iterator[None]:
        """Wait until text may take a step, and hold the cores for it."""
        with self._changed:
            self._text_waits += 1
            self._decide()
            self._changed.wait_for(lambda: not self._is_running and self._text_may_go())
            self._text_waits -= 1
            self._is_running = True
            self._in_a_row = 0
        yield from self._hold()

    @contextmanager
    def speech(self, lead_s: float) -> Iterator[None]:
        """Wait until speech may take a step, and hold the cores for it.

        Args:
            lead_s: seconds of sound that the listener who is worst off has ahead.
        """
        with self._changed:
            self._speech_waits += 1
            self._deadline_s = time.monotonic() + lead_s
            self._decide()
            self._changed.wait_for(lambda: not self._is_running and self._speech_may_go())
            self._speech_waits -= 1
            self._is_running = True
            self._in_a_row += 1
        yield from self._hold()

    def _hold(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._is_running = False
                self._decide()

    def _decide(self) -> None:
        """Say who of those who wait is next, once for both: two looks at the clock might differ,
        and then each would let the other go first, for ever.
        """
        is_ahead = self._deadline_s - time.monotonic() >= ENOUGH_S
        self._text_is_next = is_ahead or self._in_a_row >= MAX_IN_A_ROW
        self._changed.notify_all()

    def _text_may_go(self) -> bool:
        return self._text_is_next or self._speech_waits == 0

    def _speech_may_go(self) -> bool:
        return not self._text_is_next or self._text_waits == 0
