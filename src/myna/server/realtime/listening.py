"""What comes in from a microphone and a camera: kept until it is part of a turn.

Not here: finding speech (media.turns), what a turn sets off (session).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from myna.core.errors import InvalidRequest, TooLarge
from myna.media.encode import SAMPLE_BYTES, wav_header
from myna.media.turns import SpeechFinder, Started, Stopped, Turn
from myna.server.realtime.config import TurnDetection
from myna.server.realtime.limits import RealtimeLimits
from myna.server.realtime.sound import Format, as_floats, decode

# How long a finder may take to notice that somebody speaks.
NOTICE_S = 0.25

MakeFinder = Callable[[TurnDetection, int], SpeechFinder]


class Listener:
    """Keep sound and pictures until a turn takes them; times are samples since the call began.

    Args:
        limits: of the call.
        make_finder: makes what finds turns in sound of a rate.
    """

    def __init__(self, limits: RealtimeLimits, make_finder: MakeFinder) -> None:
        self.num_heard = 0
        self.finder: SpeechFinder | None = None
        self._limits = limits
        self._make_finder = make_finder
        self._format = Format(kind="pcm", rate_hz=24_000)
        self._detection: TurnDetection | None = None
        self._samples: list[NDArray[np.int16]] = []
        self._num_kept = 0
        self._start: int | None = None
        self._images: list[bytes] = []

    @property
    def is_in_turn(self) -> bool:
        """Tell whether somebody is speaking."""
        return self._start is not None

    @property
    def rate_hz(self) -> int:
        """Give the rate of the sound."""
        return self._format.rate_hz

    def seconds(self, sample: int) -> float:
        """Tell when a sample was heard, since the call began."""
        return sample / self._format.rate_hz

    def set_up(self, input_format: Format, detection: TurnDetection | None) -> None:
        """Change what comes in, or how turns are found; what changed begins anew."""
        if input_format != self._format:
            self.num_heard = round(self.num_heard * input_format.rate_hz / self.rate_hz)
            self._format = input_format
            self.clear()
            self._detection = None
        if detection is None:
            self.finder = None
            self._start = None
        elif detection != self._detection or self.finder is None:
            self.finder = self._make_finder(detection, self.rate_hz)
        self._detection = detection

    def add(self, data: bytes) -> list[Turn]:
        """Take sound, and tell which turns began or ended in it.

        Raises:
            InvalidRequest: the bytes are no whole samples.
            TooLarge: more was collected by hand than one turn may hold.
        """
        if len(data) % self._format.sample_bytes:
            raise InvalidRequest(
                f"`audio` holds {len(data)} bytes, which are no whole samples of "
                f"{self._format.sample_bytes}; send whole samples.",
                param="audio",
            )
        samples = decode(data, self._format.kind)
        max_samples = round(self._limits.max_turn_s * self.rate_hz)
        if self.finder is None and self._num_kept + len(samples) > max_samples:
            raise TooLarge(
                f"The buffer would hold {(self._num_kept + len(samples)) / self.rate_hz:.1f} s of "
                f"sound, above {self._limits.max_turn_s:g} s; commit or clear it first.",
                param="audio",
                code="input_audio_buffer_full",
            )
        self._samples.append(samples)
        self._num_kept += len(samples)
        self.num_heard += len(samples)
        if self.finder is None:
            return []
        turns = self.finder.feed(as_floats(samples))
        for turn in turns:
            if isinstance(turn, Started):
                self._start = self._begin_of(turn)
            elif isinstance(turn, Stopped):
                self._start = None
        if self._start is not None and self.num_heard - self._start > max_samples:
            self.finder.reset()
            self._start = None
            turns.append(Stopped(at_sample=self.num_heard))
        if self._start is None and not turns:
            self._trim()
        return turns

    def begin_s(self, turn: Started) -> float:
        """Tell when a turn begins, what is kept before it included."""
        return self.seconds(self._begin_of(turn))

    def heard_s(self) -> float:
        """Tell how much sound is kept."""
        return self._num_kept / self.rate_hz

    def peek(self) -> bytes:
        """Give the sound that is kept as a WAV file."""
        pcm = b"".join(samples.astype("<i2").tobytes() for samples in self._samples)
        return wav_header(rate_hz=self.rate_hz, num_samples=len(pcm) // SAMPLE_BYTES) + pcm

    def take(self) -> tuple[bytes, tuple[bytes, ...]]:
        """Take the sound that is kept as a WAV file, and the pictures."""
        sound, images = self.peek(), tuple(self._images)
        self.clear()
        return sound, images

    def clear(self) -> None:
        """Forget what is kept, and the turn that is open."""
        self._samples.clear()
        self._num_kept = 0
        self._start = None
        self._images.clear()
        if self.finder is not None:
            self.finder.reset()

    def see(self, image: bytes) -> None:
        """Keep a picture; of too many the oldest is forgotten.

        Raises:
            TooLarge: it is larger than a picture of a call may be.
        """
        if len(image) > self._limits.max_image_bytes:
            raise TooLarge(
                f"The picture has {len(image)} bytes, above {self._limits.max_image_bytes}; make "
                "it smaller.",
                param="image",
            )
        self._images.append(image)
        del self._images[: -self._limits.max_images]

    def _begin_of(self, turn: Started) -> int:
        assert self._detection is not None
        before = round(self._detection.prefix_s * self.rate_hz)
        return max(turn.at_sample - before, self.num_heard - self._num_kept, 0)

    def _trim(self) -> None:
        """Let go of silence that no turn will begin in."""
        assert self._detection is not None
        keep = round((self._detection.prefix_s + NOTICE_S) * self.rate_hz)
        while self._samples and self._num_kept - len(self._samples[0]) >= keep:
            self._num_kept -= len(self._samples.pop(0))
