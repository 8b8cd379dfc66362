"""What rooms, telephones and cheap microphones do to sound; noise is added to spectrograms instead.

Every function is a function of its arguments alone, and keeps the length, so that times stay true.
"""

from __future__ import annotations

import random

import numpy as np
import soxr

from myna.train.examples import Samples
from myna.train.sound.utterance import PEAK, RATE_HZ

TELEPHONE_HZ = 8_000
ROOM_S = 0.35


def reverberated(samples: Samples, *, decay_s: float, wet: float, seed: int) -> Samples:
    """Put sound into a room.

    Args:
        samples: (W,).
        decay_s: until echoes are 60 dB softer.
        wet: how loud echoes are against the direct sound.
        seed: of the room.
    """
    generator = np.random.default_rng(seed)
    times = np.arange(1, round(ROOM_S * RATE_HZ)) / RATE_HZ
    echoes = generator.standard_normal(len(times)) * 10 ** (-3 * times / decay_s)
    echoes[: generator.integers(20, 160)] = 0.0  # nothing comes back before the nearest wall
    echoes *= wet / np.sqrt((echoes**2).sum())
    room = np.concatenate(([1.0], echoes))
    size = 1 << (len(samples) + len(room) - 1).bit_length()
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(room, size)
    return levelled(np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32))


def telephoned(samples: Samples) -> Samples:
    """Keep what lies below 4 kHz."""
    narrow = soxr.resample(samples, RATE_HZ, TELEPHONE_HZ, "MQ")
    wide = soxr.resample(narrow, TELEPHONE_HZ, RATE_HZ, "MQ")[: len(samples)]
    return np.pad(wide, (0, len(samples) - len(wide))).astype(np.float32)


def overdriven(samples: Samples, *, drive: float) -> Samples:
    """Bend loud samples, as an amplifier that is turned up too far."""
    return levelled(np.tanh(drive * samples))


def levelled(samples: Samples) -> Samples:
    """Bring the loudest sample to the level of all utterances."""
    return np.asarray(samples * (PEAK / max(1e-6, float(np.abs(samples).max()))), np.float32)


def distorted(samples: Samples, rng: random.Random) -> Samples:
    """Leave half of all sound as it is, and do one or two things to the rest."""
    if rng.random() < 0.5:
        return samples
    if rng.random() < 0.6:
        samples = reverberated(
            samples,
            decay_s=rng.uniform(0.08, 0.6),
            wet=rng.uniform(0.1, 0.9),
            seed=rng.randrange(1 << 30),
        )
    if rng.random() < 0.3:
        samples = telephoned(samples)
    if rng.random() < 0.2:
        samples = overdriven(samples, drive=rng.uniform(1.5, 5.0))
    return samples
