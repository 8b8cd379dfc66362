"""Spectrograms are disturbed without losing their scale or their time."""

from __future__ import annotations

import numpy as np

from myna.train.sound.spectra import disturbed, resized


def test_resizing_keeps_what_was_where() -> None:
    mel = np.zeros((50, 128), np.float16)
    mel[20:30, 60:64] = 1.0
    slow = resized(mel, num_frames=100, throat=1.0)
    assert slow.shape == (100, 128)
    assert slow[45:55, 61].min() == 1.0
    assert slow[:35].max() == slow[65:].max() == 0.0


def test_a_smaller_throat_lifts_what_is_heard() -> None:
    mel = np.zeros((10, 128), np.float16)
    mel[:, 50] = 1.0
    assert resized(mel, num_frames=10, throat=1.1)[0].argmax() == 55


def test_disturbances_follow_the_seed_and_keep_the_range() -> None:
    loud = np.full((4, 60, 128), -1.0, np.float32)
    loud[:, 20:40, 30:60] = 0.9
    first, again = (disturbed(loud.copy(), np.random.default_rng(5)) for _ in range(2))
    other = disturbed(loud.copy(), np.random.default_rng(6))
    assert (first == again).all()
    assert (first != other).any()
    assert (np.ptp(first, axis=(1, 2)) <= 2.0 + 1e-5).all()
    assert first[:, 20:40, 30:60].mean() > first[:, :15].mean()
