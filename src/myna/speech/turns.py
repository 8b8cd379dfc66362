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
# Speech that was called is given so long to ask for its turn before text takes the next.
CALL_S = 0.02


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
        self._gap_s: float | None = None  # when a listener would hear one
        self._is_called = False
        self._moved_s = time.monotonic()

    @property
    def moved_s(self) -> float:
        """Give the `time.monotonic()` at which whoever computes was last seen to move on."""
        return self._moved_s

    @property
    def held_s(self) -> float:
        """Tell for how long a step has not moved on; 0 while nobody computes."""
        with self._changed:
            return time.monotonic() - self._moved_s if self._is_running else 0.0

    def move(self) -> None:
        """Say that a part of a step is done."""
        self._moved_s = time.monotonic()

    def call_speech(self) -> None:
        """Say that speech is about to have something to do; it asks for a turn, or rests."""
        with self._changed:
            self._is_called = True

    def rest(self) -> None:
        """Say that speech has nothing to do."""
        with self._changed:
            self._is_called = False
            self._changed.notify_all()

    def set_slack(self, slack_s: float | None) -> None:
        """Say how much sound the worst off of all listeners has ahead; None while nobody listens.

        It counts down by itself.
        """
        with self._changed:
            self._gap_s = None if slack_s is None else time.monotonic() + slack_s

    @contextmanager
    def text(self) -> Iterator[float | None]:
        """Wait until text may take a step, and hold the cores for it.

        Yields:
            The seconds it may take before a listener hears a gap; None while nobody listens.
        """
        with self._changed:
            self._text_waits += 1
            self._decide()
            while self._is_running or not self._text_may_go():
                awaits_call = self._is_called and not self._is_running
                if not self._changed.wait(CALL_S if awaits_call else None):
                    self._is_called = False  # nothing came of it
            self._text_waits -= 1
            self._is_running = True
            self.move()
            self._in_a_row = 0
            slack_s = None if self._gap_s is None else max(0.0, self._gap_s - time.monotonic())
        with self._hold():
            yield slack_s

    @contextmanager
    def speech(self, lead_s: float) -> Iterator[None]:
        """Wait until speech may take a step, and hold the cores for it.

        Args:
            lead_s: seconds of sound that the listener who is worst off has ahead.
        """
        with self._changed:
            self._is_called = False
            self._speech_waits += 1
            self._deadline_s = time.monotonic() + lead_s
            self._decide()
            self._changed.wait_for(lambda: not self._is_running and self._speech_may_go())
            self._speech_waits -= 1
            self._is_running = True
            self.move()
            self._in_a_row += 1
        with self._hold():
            yield
            self._is_called = True  # it asks again at once, or rests

    @contextmanager
    def _hold(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._is_running = False
                self.move()
                self._decide()

    def _decide(self) -> None:
        """Say who of those who wait is next, once for both: two looks at the clock might differ,
        and then each would let the other go first, for ever.
        """
        is_ahead = self._deadline_s - time.monotonic() >= ENOUGH_S
        self._text_is_next = is_ahead or self._in_a_row >= MAX_IN_A_ROW
        self._changed.notify_all()

    def _text_may_go(self) -> bool:
        return self._text_is_next or not (self._speech_waits or self._is_called)

    def _speech_may_go(self) -> bool:
        return not self._text_is_next or self._text_waits == 0
