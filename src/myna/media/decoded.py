"""Decoded media: plain arrays with the facts that go with them.

Not here: how they come to be (image, audio, video), what a model makes of them (mel, patches).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Samples = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Hold a picture, upright, in red, green and blue.

    Args:
        pixels: (height, width, 3) uint8.
    """

    pixels: Pixels


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Hold a sound in one channel.

    Args:
        samples: (W,) float32, mostly between -1 and 1.
        rate_hz: samples a second.
    """

    samples: Samples
    rate_hz: int

    @property
    def duration_s(self) -> float:
        """Tell how long it lasts."""
        return len(self.samples) / self.rate_hz


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Hold the chosen frames of a video, and its sound if that was asked for.

    Args:
        frames: (T, height, width, 3) uint8, upright, in the size that the model will see.
        times_s: (T,) when each frame is shown, from the start of the file.
        sample_fps: how many of the chosen frames there are for a second of video.
        sound: the sound of the same stretch.
    """

    frames: Pixels
    times_s: tuple[float, ...]
    sample_fps: float
    sound: Sound | None = None
