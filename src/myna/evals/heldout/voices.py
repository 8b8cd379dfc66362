"""A voice that training has never heard: flite's "slt", whole."""

from __future__ import annotations

import random

from myna.train.sound import flite
from myna.train.sound.utterance import Utterance

VOICE = "slt"
PITCH_HZ = 170.0


def say(text: str, rng: random.Random) -> Utterance:
    """Let the held-out voice say a text, in its own pitch, at a speed that varies a little."""
    manner = flite.Manner(
        voice=VOICE, stretch=rng.uniform(0.9, 1.1), pitch_hz=PITCH_HZ * rng.uniform(0.95, 1.05)
    )
    return flite.flite().say(text, manner)
