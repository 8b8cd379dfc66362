"""All that the thinker is asked."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest

from myna.train import curriculum
from myna.train.examples import Example, Heard, Sound, Spoken
from myna.train.sound.utterance import NotSpoken


@dataclass
class OneSentence:
    mel: np.ndarray
    text: str = "one red apple"
    words: tuple = ()

    def __len__(self):
        return 1

    def __getitem__(self, i):
        return self

    @property
    def lengths(self):
        return np.array([len(self.mel)])


def sentence(num_frames: int) -> OneSentence:
    return OneSentence(np.zeros((num_frames, 128), np.float16))


def test_shares_are_of_a_whole():
    assert sum(curriculum.SHARES.values()) == pytest.approx(1.0)


def test_a_sentence_is_asked_for_in_many_ways_and_answered_by_its_words(monkeypatch):
    monkeypatch.setattr(curriculum, "overheard", lambda entry, rng: entry.mel[:90])
    asks = curriculum.Transcribing([sentence(100), sentence(curriculum.LONGEST_FRAMES + 1)])
    rng = random.Random(0)
    made = [asks(rng) for _ in range(60)]
    assert {example.answer for example in made} == {"one red apple"}
    heard = [part for example in made for part in example.question if isinstance(part, Heard)]
    assert {len(part.frames) for part in heard} == {90, 100}
    prompts = {part for example in made for part in example.question if isinstance(part, str)}
    assert len(prompts) == 1 + len(curriculum.ASKED_FOR_WORDS)


def test_what_no_voice_reads_is_drawn_anew(monkeypatch):
    def voiced(example, rng):
        if example.answer == "mute":
            raise NotSpoken("mute")
        return Example("aloud", (Sound(np.zeros(9, np.float32)),), example.answer)

    monkeypatch.setattr(curriculum, "voiced", voiced)
    answers = iter(("mute", "loud"))
    made = curriculum._spoken(lambda rng: Example("aloud", (Spoken("x"),), next(answers)))
    assert made(random.Random(0)).answer == "loud"


def test_every_share_has_a_maker(monkeypatch):
    monkeypatch.setattr(curriculum, "open_pool", lambda name: sentence(50))
    monkeypatch.setattr(
        curriculum.pictures, "makers", lambda studio: dict.fromkeys(curriculum.SHARES, str)
    )
    made = curriculum.makers(None)
    assert [share for share, _ in made] == list(curriculum.SHARES.values())
