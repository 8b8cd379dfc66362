"""Lessons are batches that follow their step, with targets that follow the sound."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from myna.train.sound.lessons import Lessons, overheard
from myna.train.sound.pool import Pool, write_shard
from myna.train.sound.utterance import RATE_HZ, Span, Utterance


def said(seconds: float) -> Utterance:
    """Speak from 0.3 s on: a tone, where the word and its phone are."""
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = np.sin(2 * np.pi * 440 * times) * (times > 0.3) * (times < seconds - 0.2)
    word = Span("cat", 0.3, seconds - 0.2)
    phones = (Span("sil", 0.0, 0.3), Span("ae", 0.3, seconds - 0.2))
    return Utterance("cat", sound.astype(np.float32), (word,), phones, "someone")


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    write_shard(tmp_path, "000", [said(1.0 + i / 10) for i in range(12)])
    return Pool(tmp_path)


def lessons(pool: Pool, *, is_clean: bool) -> Lessons:
    return Lessons((pool,), vocabulary={"cat": 2}, frames=600, seed=1, is_clean=is_clean)


def test_a_step_always_gets_the_same_batch(pool: Pool) -> None:
    first, again = (lessons(pool, is_clean=False).at(7) for _ in range(2))
    assert (first.mel == again.mel).all()
    assert (first.words == again.words).all()


def test_an_epoch_holds_every_sentence_once(pool: Pool) -> None:
    made = lessons(pool, is_clean=True)
    sizes = [len(made.at(step).texts) for step in range(made.num_batches)]
    assert sum(sizes) == 12
    assert all(made.at(step).mel[:, 0].size <= 700 for step in range(made.num_batches))


def test_targets_lie_where_the_sound_is(pool: Pool) -> None:
    lesson = lessons(pool, is_clean=True).at(0)
    assert lesson.mel.shape[1] == 128
    for mel, words in zip(lesson.mel, lesson.words, strict=True):
        is_loud = mel.max(0)[::8] > 0.5
        is_said = (words == 2).any(1)
        assert (is_loud[: len(is_said)] == is_said).mean() > 0.85
        assert is_said.sum() >= 4
    assert (lesson.begins.sum((1, 2)) == 1).all()


def test_no_sound_event_is_heard_in_speech(pool: Pool) -> None:
    lesson = lessons(pool, is_clean=False).at(1)
    assert not lesson.events.any()
    assert not lesson.pitches.any()


def test_a_shorter_epoch_begins_again(pool: Pool) -> None:
    made = lessons(pool, is_clean=True)
    made.num_batches += 3
    for step in range(2 * made.num_batches):
        assert made.at(step).texts


def test_a_sentence_is_heard_in_many_ways(pool: Pool) -> None:
    entry = pool[3]
    heard = [overheard(entry, random.Random(seed)) for seed in (1, 1, 2)]
    assert (heard[0] == heard[1]).all()
    assert heard[0].shape != heard[2].shape or (heard[0] != heard[2]).any()
    assert all(0.87 < len(frames) / len(entry.mel) < 1.15 for frames in heard)
