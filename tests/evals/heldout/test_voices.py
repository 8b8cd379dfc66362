"""The held-out voice is one that training does not know."""

from __future__ import annotations

import ctypes
import random

import pytest

from myna.evals.heldout import voices as unheard
from myna.train.sound import flite, voices


def test_training_does_not_know_the_voice() -> None:
    assert unheard.VOICE not in voices.FLITE


def test_it_speaks() -> None:
    try:
        ctypes.CDLL(flite.LIBRARIES[0])
    except OSError:
        pytest.skip(f"{flite.LIBRARIES[0]} is not here (Debian: libflite1)")
    said = unheard.say("a red apple", random.Random(1))
    assert [span.name for span in said.words] == ["a", "red", "apple"]
    assert said.voice == "flite-slt"
