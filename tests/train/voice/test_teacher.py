import numpy as np
import pytest

from myna.train.sound.utterance import tokens
from myna.train.voice.teacher import (
    LEAD_SLOTS,
    SLOT_SAMPLES,
    TAIL_SLOTS,
    letters_named,
    trim,
    with_output,
)


def test_an_output_is_a_message_within_a_graph_within_a_model() -> None:
    assert with_output(b"model", "ab") == b"model" + bytes([0x3A, 6, 0x62, 4, 0x0A, 2]) + b"ab"


def test_long_lengths_take_several_bytes() -> None:
    made = with_output(b"", "x" * 300)
    assert made.endswith(bytes([0x0A, 0xAC, 0x02]) + b"x" * 300)


@pytest.mark.parametrize(
    ("text", "sounds", "expected"),
    [
        ("c a t", "si E ti", "si \u02c8A ti"),
        ("a cat", "E kat", "E kat"),
        ("letters a, b", "letez E, bi", "letez \u02c8A, bi"),
        ("i see a cat", "I si E kat", "I si E kat"),
        ("two words", "one", "one"),
    ],
)
def test_a_letter_among_letters_is_named(text: str, sounds: str, expected: str) -> None:
    assert letters_named(tokens(text), sounds.split()) == expected


def test_silence_around_speech_is_always_the_same() -> None:
    slots = np.zeros((50, SLOT_SAMPLES), np.float32)
    slots[20:30] = 0.1
    phonemes = np.full(50, 7, np.uint8)
    speech = trim(slots.reshape(-1), phonemes)
    assert len(speech.phonemes) == LEAD_SLOTS + 10 + TAIL_SLOTS
    assert len(speech.samples) == len(speech.phonemes) * SLOT_SAMPLES
    assert np.flatnonzero(speech.phonemes).tolist() == list(range(LEAD_SLOTS, LEAD_SLOTS + 10))


def test_speech_that_ends_at_once_is_followed_by_silence() -> None:
    slots = np.full((10, SLOT_SAMPLES), 0.1, np.float32)
    speech = trim(slots.reshape(-1), np.full(10, 7, np.uint8))
    assert len(speech.phonemes) == 10 + TAIL_SLOTS
    assert not speech.samples[10 * SLOT_SAMPLES :].any()
