"""Sentences of which it is known when each word is said: espeak-ng tells, through its C library.

Source: espeak-ng 1.51 speak_lib.h.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

SYNCHRONOUS, BY_CHARACTER, UTF8, WORD_EVENT = 2, 1, 1, 1
SUBJECTS = (
    "The old gardener",
    "My sister",
    "A small brown bird",
    "Nobody in the village",
    "The committee",
    "An extraordinary orchestra",
    "Our neighbour, who is a doctor,",
    "The train from Manchester",
)
VERBS = (
    "remembered",
    "could not find",
    "opened",
    "carefully described",
    "has never seen",
    "wanted to buy",
    "immediately recognised",
)
OBJECTS = (
    "the yellow umbrella",
    "a map of the city",
    "three hundred photographs",
    "the university library",
    "his own handwriting",
    "a very good reason",
    "the answer",
)
ENDS = (
    ".",
    ", but it was too late.",
    " before the rain began.",
    "; nevertheless, everybody applauded.",
    " in the middle of the night!",
    ". Why? Because of the weather.",
)


@dataclass
class Spoken:
    """A sentence, its sound and when each word of it begins, by its place in the text."""

    text: str
    rate_hz: int
    samples: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    starts_s: dict[int, float] = field(default_factory=dict)


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def sentences(count: int, *, seed: int = 0) -> list[str]:
    """Make sentences, all different."""
    rng = random.Random(seed)
    made: dict[str, None] = {}
    while len(made) < count:
        parts = [rng.choice(part) for part in (SUBJECTS, VERBS, OBJECTS)]
        made[" ".join(parts) + rng.choice(ENDS)] = None
    return list(made)


@functools.cache
def _library() -> tuple[ctypes.CDLL, int]:
    """Start the library, once: after an end it does not start again in the same process."""
    name = ctypes.util.find_library("espeak-ng")
    if name is None:
        pytest.skip("espeak-ng's library is not here (Debian: libespeak-ng1)")
    library = ctypes.CDLL(name)
    rate_hz = library.espeak_Initialize(SYNCHRONOUS, 0, None, 0)
    assert rate_hz > 0
    return library, rate_hz


def speak(texts: list[str]) -> list[Spoken]:
    """Let espeak-ng say texts; skips where it is not installed."""
    library, rate_hz = _library()
    pieces: list[NDArray[np.int16]] = []
    starts: list[tuple[int, float]] = []

    def take(wave: object, num_samples: int, events: ctypes.Array[_Event]) -> int:
        if wave and num_samples:
            pieces.append(np.ctypeslib.as_array(wave, (num_samples,)).copy())  # type: ignore[arg-type]
        idx = 0
        while events[idx].type:
            if events[idx].type == WORD_EVENT:
                starts.append((events[idx].text_position - 1, events[idx].audio_position / 1000))
            idx += 1
        return 0

    callback = CALLBACK(take)
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetVoiceByName(b"en")
    spoken = []
    for text in texts:
        pieces.clear()
        starts.clear()
        data = text.encode()
        library.espeak_Synth(data, len(data) + 1, 0, BY_CHARACTER, 0, UTF8, None, None)
        samples = np.concatenate(pieces).astype(np.float32) / 32768
        spoken.append(Spoken(text, rate_hz, samples, dict(reversed(starts))))
    return spoken
