"""Words get their times from their phones."""

from __future__ import annotations

import numpy as np
import pytest

from myna.train.sound.utterance import (
    RATE_HZ,
    NotSpoken,
    Span,
    gathered,
    letter_places,
    stretched,
    tokens,
)

PIECES = [
    (None, Span("sil", 0.0, 0.1)),
    (0, Span("ah", 0.1, 0.2)),
    (1, Span("k", 0.2, 0.3)),
    (1, Span("ae", 0.3, 0.5)),
    (1, Span("t", 0.5, 0.6)),
]


def test_words_are_heard_without_case_and_punctuation() -> None:
    assert tokens("At seven o'clock, a cat?") == ["at", "seven", "o'clock", "a", "cat"]


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("a p p l e", {0}),
        ("is it a b", {2}),
        ("the letter a", {2}),
        ("b a a", {1, 2}),
        ("is it a car", set()),
        ("i saw a cat", set()),
    ],
)
def test_a_is_the_letter_among_letters(text: str, letters: set[int]) -> None:
    assert letter_places(tokens(text)) == letters


def test_a_word_lasts_from_its_first_phone_to_its_last() -> None:
    said = gathered("a cat", PIECES, samples=np.ones(22_050, np.float32), rate_hz=22_050, voice="v")
    assert said.words == (Span("a", 0.1, 0.2), Span("cat", 0.2, 0.6))
    assert len(said.samples) == RATE_HZ
    assert said.seconds == 1.0


def test_a_word_without_phones_is_refused() -> None:
    with pytest.raises(NotSpoken, match=r"v said words \[0, 1\] of 3 in 'a cat sat'"):
        gathered("a cat sat", PIECES, samples=np.ones(100, np.float32), rate_hz=RATE_HZ, voice="v")


def test_stretching_moves_times_with_the_sound() -> None:
    sound = np.zeros(RATE_HZ, np.float32)
    slow = stretched(gathered("a cat", PIECES, samples=sound, rate_hz=RATE_HZ, voice="v"), 1.25)
    assert slow.words[1] == Span("cat", 0.25, 0.75)
    assert slow.seconds == pytest.approx(1.25, abs=0.01)
