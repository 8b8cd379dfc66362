"""How fast a voice speaks, beside how fast it is heard.

Not here: what a slow voice is told about (the listeners).
"""

from __future__ import annotations

from collections import deque

WINDOW_FRAMES = 25
# Fewer frames say little: the first ones read the prompt.
MIN_FRAMES = 4


class Pace:
    """Measure one voice. Times are of one monotonic clock, in seconds.

    Only the time in which the voice could go on counts: waiting for text is no slowness of speech.

    Args:
        frame_s: sound of a frame.
    """

    def __init__(self, frame_s: float) -> None:
        self._frame_s = frame_s
        self._spent_s: deque[float] = deque(maxlen=WINDOW_FRAMES)
        self._since_s: float | None = None
        self._heard_from_s: float | None = None
        self._num_heard = 0

    def go(self, now_s: float) -> None:
        """Note that the voice can go on."""
        if self._since_s is None:
            self._since_s = now_s

    def take_frame(self, now_s: float, *, goes_on: bool) -> None:
        """Note that a frame was made."""
        if self._since_s is not None:
            self._spent_s.append(now_s - self._since_s)
        self._since_s = now_s if goes_on else None

    def take_sound(self, num_frames: int, now_s: float) -> None:
        """Note that so many frames became sound, which is played as soon as it can be."""
        if self.lead_s(now_s) <= 0:  # it begins, or begins again after a gap
            self._heard_from_s = now_s
            self._num_heard = 0
        self._num_heard += num_frames

    @property
    def is_heard(self) -> bool:
        """Tell whether there was any sound yet."""
        return self._heard_from_s is not None

    def lead_s(self, now_s: float) -> float:
        """Tell how much of the sound a listener who plays it at once has yet to hear."""
        if self._heard_from_s is None:
            return 0.0
        return max(0.0, self._heard_from_s + self._num_heard * self._frame_s - now_s)

    @property
    def realtime_factor(self) -> float | None:
        """Give the seconds that a second of sound takes, lately; `None` before that can be told."""
        if len(self._spent_s) < MIN_FRAMES:
            return None
        return sum(self._spent_s) / (len(self._spent_s) * self._frame_s)
