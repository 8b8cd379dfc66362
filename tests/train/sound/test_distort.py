"""Rooms and telephones change sound, not its length."""

from __future__ import annotations

import random

import numpy as np
import pytest

from myna.train.sound.distort import distorted, overdriven, reverberated, telephoned
from myna.train.sound.utterance import PEAK, RATE_HZ

TIMES = np.arange(RATE_HZ) / RATE_HZ


def test_a_telephone_keeps_low_sounds_alone() -> None:
    low, high = (np.sin(2 * np.pi * hz * TIMES).astype(np.float32) for hz in (1000, 6000))
    assert telephoned(low).std() == pytest.approx(low.std(), rel=0.05)
    assert telephoned(high).std() < 0.02
    assert len(telephoned(low)) == len(low)


def test_a_room_rings_on() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[100] = 0.5
    heard = reverberated(click, decay_s=0.4, wet=0.5, seed=1)
    assert len(heard) == len(click)
    assert np.abs(heard).argmax() == 100
    assert np.abs(heard[1000:3000]).max() > 0.001
    assert not heard[:100].round(6).any()


def test_overdriving_flattens_peaks() -> None:
    sound = (0.7 * np.sin(2 * np.pi * 200 * TIMES)).astype(np.float32)
    heard = overdriven(sound, drive=5.0)
    assert np.abs(heard).max() == pytest.approx(PEAK)
    assert heard.std() > sound.std()


def test_half_of_all_sound_stays_as_it_is() -> None:
    sound = np.sin(2 * np.pi * 200 * TIMES[:1600]).astype(np.float32)
    rng = random.Random(3)
    same = sum(distorted(sound, rng) is sound for _ in range(200))
    assert 90 < same < 140
