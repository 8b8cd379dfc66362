"""Sounds that a voice detector takes for speech, made here: no recording, no voice of anybody."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
VOWELS_HZ = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480))
PITCH_HZ = 120.0


def vowels(seconds: float, *, rate_hz: int, seed: int = 0) -> Floats:
    """Make syllables of vowels: a buzz through three resonances, four syllables a second."""
    rng = np.random.default_rng(seed)
    num = round(seconds * rate_hz)
    t = np.arange(num) / rate_hz
    pitch = PITCH_HZ * (1 + 0.12 * np.sin(2 * np.pi * 0.9 * t) + 0.02 * rng.normal(size=num))
    phase = 2 * np.pi * np.cumsum(pitch) / rate_hz
    out = np.zeros(num)
    which = (np.floor(t * 4).astype(int) + seed) % len(VOWELS_HZ)
    formants = np.array(VOWELS_HZ, float)[which]  # (num, 3)
    for harmonic in range(1, 30):
        hz = harmonic * pitch
        gain = sum(
            np.exp(-(((hz - formants[:, idx]) / 130.0) ** 2)) / (idx + 1) for idx in range(3)
        )
        out += (gain + 0.02) / harmonic**0.5 * np.sin(harmonic * phase)
    out *= 0.55 - 0.45 * np.cos(2 * np.pi * 4 * t)
    out += 0.002 * rng.normal(size=num)
    return (0.3 * out / np.abs(out).max()).astype(np.float32)


def silence(seconds: float, *, rate_hz: int, seed: int = 0) -> Floats:
    """Make the faint noise of a quiet room."""
    rng = np.random.default_rng(seed)
    return (0.0005 * rng.normal(size=round(seconds * rate_hz))).astype(np.float32)


def pcm16(samples: Floats) -> bytes:
    """Write samples as 16-bit integers."""
    return (samples * 32767).astype("<i2").tobytes()
