"""What may happen to a log-mel spectrogram while its words stay the same.

Here rather than on samples because it is a hundred times cheaper, and differs each time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from myna.media.mel import RANGE

Frames = NDArray[np.float32]  # (T, M), as the audio encoder gets them: (log10 power + 4) / 4
Generator = np.random.Generator
PER_DECADE = 0.25  # what a tenfold power adds
MASKED = 0.4  # of all clips


def resized(mel: NDArray[np.float16], *, num_frames: int, throat: float) -> Frames:
    """Change speed, and move all formants.

    Args:
        mel: (T, M).
        num_frames: what T becomes.
        throat: factor by which what is heard rises along the mel axis.
    """
    rows = np.linspace(0, len(mel) - 1, num_frames)
    below = rows.astype(np.int64)
    above = np.minimum(below + 1, len(mel) - 1)
    part = (rows - below).astype(np.float32)[:, None]
    wide = mel.astype(np.float32)
    out = wide[below] * (1 - part) + wide[above] * part
    columns = np.clip(np.arange(mel.shape[1]) / throat, 0, mel.shape[1] - 1)
    left = columns.astype(np.int64)
    right = np.minimum(left + 1, mel.shape[1] - 1)
    share = (columns - left).astype(np.float32)
    return np.asarray(out[:, left] * (1 - share) + out[:, right] * share, np.float32)


def disturbed(batch: NDArray[np.float32], generator: Generator) -> NDArray[np.float32]:
    """Make clips louder or softer, colour them, put noise over half, and mask a little.

    Args:
        batch: (B, T, M); it is changed in place.
        generator: of all draws.
    """
    size, num_frames, num_mels = batch.shape
    gain = generator.uniform(-1.6, 0.3, (size, 1, 1))  # decades of power
    batch += PER_DECADE * (gain + _curves(generator, size, num_mels, 0.35)).astype(np.float32)
    is_noisy = generator.random((size, 1, 1)) < 0.55
    loudest = batch.max((1, 2), keepdims=True)
    below = generator.uniform(0.8, 5.0, (size, 1, 1))  # decades of power under the loudest
    noise = loudest + PER_DECADE * (_curves(generator, size, num_mels, 0.8) - below)
    noise = np.where(is_noisy, noise, -np.inf)
    # A band's power fluctuates as a sum of a few exponential variables does.
    flicker = generator.standard_normal((size, num_frames, num_mels), np.float32) * 0.05
    np.logaddexp(batch * _NATS, (noise + flicker).astype(np.float32) * _NATS, out=batch)
    batch /= _NATS
    floor = batch.max((1, 2), keepdims=True) - RANGE * PER_DECADE
    for clip in batch:
        if generator.random() < MASKED:
            _mask(clip, generator)
    np.maximum(batch, floor, out=batch)
    return batch


_NATS = np.float32(np.log(10) / PER_DECADE)


def _curves(generator: Generator, size: int, num_mels: int, spread: float) -> NDArray[np.float64]:
    """Draw smooth curves over the mel axis: (B, 1, M)."""
    knots = generator.normal(0, spread, (size, 6))
    at = np.linspace(0, 5, num_mels)
    low = np.minimum(at.astype(np.int64), 4)
    part = at - low
    return (knots[:, low] * (1 - part) + knots[:, low + 1] * part)[:, None]


def _mask(clip: NDArray[np.float32], generator: Generator) -> None:
    """Silence a few bands and a few hundredths of a second of a (T, M) clip."""
    num_frames, num_mels = clip.shape
    quiet = clip.min()
    width = int(generator.integers(2, 14))
    band = int(generator.integers(0, num_mels - width))
    clip[:, band : band + width] = quiet
    length = int(generator.integers(1, 6))
    start = int(generator.integers(0, num_frames - length))
    clip[start : start + length] = quiet
