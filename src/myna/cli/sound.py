"""Spoken answers as files, and how they look on one line.

Not here: playing them.
"""

from __future__ import annotations

import array
import itertools
import sys
from collections.abc import Generator
from pathlib import Path

from myna.core.errors import InvalidRequest
from myna.core.events import AudioDelta, Event
from myna.media.encode import SAMPLE_BYTES, wav_header

BARS = "▁▂▃▄▅▆▇█"
NUM_BARS = 40


class SoundFile:
    """Collect the sound of an answer, and write it to a WAV file.

    Args:
        path: of the file, which is overwritten.

    Raises:
        InvalidRequest: no WAV file can be written there.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() != ".wav":
            raise InvalidRequest(f"sound is written as WAV alone; give {path} the ending .wav")
        if not path.parent.is_dir() or path.is_dir():
            raise InvalidRequest(f"{path} cannot be written: there is no such folder")
        self.path = path
        self._pcm: list[bytes] = []
        self._rate_hz = 0
        self._realtime_factor: float | None = None

    def listen(self, events: Generator[Event]) -> Generator[Event]:
        """Pass events on, and keep their sound; closing this closes them."""
        try:
            for event in events:
                if isinstance(event, AudioDelta):
                    self._pcm.append(event.pcm)
                    self._rate_hz = event.rate_hz
                    self._realtime_factor = event.realtime_factor
                yield event
        finally:
            events.close()

    def write(self) -> str:
        """Write the file; returns a line that shows it."""
        pcm = b"".join(self._pcm)
        if not pcm:
            return f"nothing was spoken; {self.path} is not written"
        num_samples = len(pcm) // SAMPLE_BYTES
        self.path.write_bytes(wav_header(rate_hz=self._rate_hz, num_samples=num_samples) + pcm)
        line = f"{waveform(pcm)} {num_samples / self._rate_hz:.1f} s  {self.path}"
        factor = self._realtime_factor
        if factor is None or factor <= 1:
            return line
        return f"{line}\nslower than it sounds: a second of speech took {factor:.1f} s"


def waveform(pcm: bytes, *, num_bars: int = NUM_BARS) -> str:
    """Draw sound as a line of bars, each as high as the loudest sample of its stretch.

    Args:
        pcm: mono samples, 16-bit signed little-endian.
        num_bars: how many at most.
    """
    samples = array.array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    num_bars = min(num_bars, len(samples))
    edges = [len(samples) * idx // num_bars for idx in range(num_bars + 1)] if num_bars else []
    peaks = [max(map(abs, samples[start:end])) for start, end in itertools.pairwise(edges)]
    loudest = max([*peaks, 1])
    top = len(BARS) - 1
    return "".join(BARS[round(top * peak / loudest)] for peak in peaks)
