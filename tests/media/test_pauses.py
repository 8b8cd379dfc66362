"""Cutting a sound at its pauses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from myna.media.pauses import MARGIN_S, MAX_PIECE_S, Piece, pieces_of

RATE_HZ = 16_000


def sound(*stretches: tuple[float, float], noise: float = 0.0) -> np.ndarray:
    """Make stretches of (seconds, level) of noise, one after another, on a background."""
    random = np.random.default_rng(0)
    parts = [level * random.standard_normal(round(s * RATE_HZ)) for s, level in stretches]
    samples = np.concatenate(parts) if parts else np.zeros(0)
    return (samples + noise * random.standard_normal(len(samples))).astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.004])
def test_a_sound_is_cut_at_its_pauses(noise: float) -> None:
    samples = sound((1, 0), (3, 0.1), (1, 0), (4, 0.2), (0.1, 0), (2, 0.1), (1, 0), noise=noise)
    first, second = pieces_of(samples, rate_hz=RATE_HZ)
    assert (first.start_s, first.end_s) == pytest.approx((1 - MARGIN_S, 4 + MARGIN_S), abs=0.05)
    assert (second.start_s, second.end_s) == pytest.approx(
        (5 - MARGIN_S, 11.1 + MARGIN_S), abs=0.05
    )


def test_what_is_too_short_goes_with_what_follows() -> None:
    (piece,) = pieces_of(sound((0.5, 0.1), (1, 0), (3, 0.1)), rate_hz=RATE_HZ)
    assert piece == Piece(start_s=0.0, end_s=4.5)


def test_speech_without_pauses_is_cut_where_it_is_quietest() -> None:
    samples = sound((20, 0.1), (0.1, 0.01), (30, 0.1))
    pieces = pieces_of(samples, rate_hz=RATE_HZ)
    assert pieces[0].end_s == pytest.approx(20.05, abs=0.1)
    assert all(piece.end_s - piece.start_s <= MAX_PIECE_S for piece in pieces)
    for before, after in pairwise(pieces):
        assert before.end_s == pytest.approx(after.start_s, abs=0.021)
    assert pieces[-1].end_s == pytest.approx(50.1, abs=0.02)


@pytest.mark.parametrize("samples", [sound(), sound((5, 0)), sound((5, 0.0001))])
def test_silence_has_no_pieces(samples: np.ndarray) -> None:
    assert pieces_of(samples, rate_hz=RATE_HZ) == ()
