"""A voice knows what it reads next, when sound is due, and when something is wrong."""

from __future__ import annotations

import torch

from myna.speech.cache import CachePool, VoiceCache
from myna.speech.voice import Voice


def make_voice(parts) -> Voice:
    return Voice(
        parts.request("a"), VoiceCache(CachePool(parts.talker.decoder)), object(), parts.rules
    )


def speak(voice: Voice) -> None:
    """Take one step with one frame."""
    voice.commit(1)
    voice.add_frame(torch.tensor([voice.num_frames, 0, 0, 0]), torch.zeros(4))


def test_after_the_text_comes_its_end_once_and_then_padding(parts):
    voice = make_voice(parts)
    voice.say([5, 6])
    voice.end_text()
    read = []
    for _ in range(5):
        read.append(voice.next_token())
        speak(voice)
    assert read == [5, 6, parts.rules.end_token, parts.rules.pad_token, parts.rules.pad_token]


def test_pieces_are_short_at_first_and_take_what_is_left_at_the_end(parts):
    voice = make_voice(parts)
    voice.say([1] * 20)
    sizes = []
    for _ in range(9):
        speak(voice)
        size = voice.piece_size()
        if size is not None:
            sizes.append(size)
            voice.take_piece(size, object())
    voice.is_over = True
    assert sizes == [1, 2, 4]
    assert voice.piece_size() == 2
    voice.take_piece(2, object())
    assert voice.piece_size() is None


def test_circles_are_trouble_only_after_the_text(parts):
    voice = make_voice(parts)
    voice.first_codes = [7] * 80
    voice.say([1] * 90)
    voice.end_text()
    assert voice.trouble() is None
    for _ in range(90):
        voice.commit(0)
    assert voice.trouble() == "it goes in circles"
