"""The noun that data makers, training and evaluation share: a question with its answer.

Arrays here are as a microphone or a camera gives them; what networks read is made later, by the
same code that serves users.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNSCORED = -100  # what a label says of a place that has none, as torch's cross entropy spells it
Samples = NDArray[np.float32]  # (S,) in [-1, 1], 16 kHz
Pixels = NDArray[np.uint8]  # (height, width, 3)


@dataclass(frozen=True)
class Sound:
    """Hold samples of 16 kHz."""

    samples: Samples


@dataclass(frozen=True)
class Heard:
    """Hold a sound as the audio encoder gets it.

    Attributes:
        frames: (T, M) mel frames.
        words: beginning and end of each word that is said, in shares of the sound's length; empty
            where they are not known.
    """

    frames: NDArray[np.float16]
    words: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Picture:
    """Hold a picture of any size."""

    pixels: Pixels


@dataclass(frozen=True)
class Clip:
    """Hold a video.

    Attributes:
        frames: (T, height, width, 3) uint8, T even.
        fps: frames a second.
        sound: as long as the frames last, if there is any.
    """

    frames: NDArray[np.uint8]
    fps: float
    sound: Sound | None = None


@dataclass(frozen=True)
class Spoken:
    """Stand for a sentence that a synthetic voice is still to say."""

    text: str


Part = str | Sound | Heard | Picture | Clip | Spoken


@dataclass(frozen=True)
class Example:
    """Hold one question and the answer that it should get.

    Attributes:
        ability: the row of the evaluation table that it belongs to, such as "transcribe".
        question: parts of the user's turn, in order.
        answer: what the assistant should write.
    """

    ability: str
    question: tuple[Part, ...]
    answer: str
