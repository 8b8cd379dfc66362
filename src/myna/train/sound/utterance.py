"""What a synthesizer says: sound, and when each word and each phone of it is spoken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from myna.train.examples import Samples
from myna.train.sound.phones import SILENCE

RATE_HZ = 16_000
PUNCTUATION = ".,?!;:\"'"
PEAK = 0.7


@dataclass(frozen=True)
class Span:
    """Say from when to when something is heard, in seconds."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Utterance:
    """Hold spoken words.

    Attributes:
        text: what was said.
        samples: 16 kHz.
        words: in order, in lower case without punctuation.
        phones: in order, without gaps; silence is one of them.
        voice: who said it.
    """

    text: str
    samples: Samples
    words: tuple[Span, ...]
    phones: tuple[Span, ...]
    voice: str

    @property
    def seconds(self) -> float:
        """Give the length."""
        return len(self.samples) / RATE_HZ


class NotSpoken(ValueError):
    """Tell that a synthesizer's times do not fit the text it was given."""


def tokens(text: str) -> list[str]:
    """Cut a text into the words that are heard."""
    return [word for part in text.lower().split() if (word := part.strip(PUNCTUATION))]


def letter_places(words: Sequence[str]) -> set[int]:
    """Find the words "a" that are the letter: beside another lone letter, or after "letter"."""

    def is_letter(i: int) -> bool:
        return 0 <= i < len(words) and len(words[i]) == 1 and words[i] not in "ai"

    def starts_spelling(i: int) -> bool:
        return is_letter(i + 1) or is_letter(i - 1) or (i > 0 and words[i - 1] in _LETTER)

    found = {i for i, word in enumerate(words) if word == "a" and starts_spelling(i)}
    doubled = {i for i, word in enumerate(words) if word == "a" and {i - 1, i + 1} & found}
    return found | doubled


_LETTER = ("letter", "letters", "spells")


def gathered(
    text: str,
    pieces: Sequence[tuple[int | None, Span]],
    *,
    samples: NDArray[np.float32],
    rate_hz: float,
    voice: str,
) -> Utterance:
    """Make an utterance of phones that know their word.

    Args:
        text: what was said.
        pieces: the place among the text's words (none for silence) and span of each phone, in
            order, without gaps.
        samples: (W,) at any rate.
        rate_hz: of the samples.
        voice: who said it.

    Raises:
        NotSpoken: a word has no phones, or the words do not come in order.
    """
    spans: dict[int, tuple[float, float]] = {}
    for place, span in pieces:
        if place is not None and span.name != SILENCE:
            start = spans[place][0] if place in spans else span.start_s
            spans[place] = (start, span.end_s)
    words = tokens(text)
    if list(spans) != list(range(len(words))):
        raise NotSpoken(f"{voice} said words {list(spans)} of {len(words)} in {text!r}")
    found = tuple(Span(word, *spans[i]) for i, word in enumerate(words))
    sound = samples if rate_hz == RATE_HZ else soxr.resample(samples, rate_hz, RATE_HZ, "MQ")
    peak = float(np.abs(sound).max(initial=1e-6))
    level = np.asarray(sound * (PEAK / peak), np.float32)
    return Utterance(text, level, found, tuple(span for _, span in pieces), voice)


def stretched(utterance: Utterance, factor: float) -> Utterance:
    """Play an utterance slower by a factor, and deeper by the same: another throat."""
    sound = soxr.resample(utterance.samples, RATE_HZ, RATE_HZ * factor, "MQ")

    def later(spans: tuple[Span, ...]) -> tuple[Span, ...]:
        return tuple(Span(s.name, s.start_s * factor, s.end_s * factor) for s in spans)

    return Utterance(
        utterance.text,
        np.asarray(sound, np.float32),
        later(utterance.words),
        later(utterance.phones),
        utterance.voice,
    )
