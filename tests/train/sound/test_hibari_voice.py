"""Durations of hibari's letters become times of phones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from myna.train.sound.hibari_voice import LEAD_S, ended, timed
from myna.train.sound.utterance import Span


def test_every_phone_has_its_word_and_its_time() -> None:
    spoken = "ðə kˈæt."
    durations = np.array([4, 1, 2, 2, 1, 1, 2, 2, 3, 2], np.float32)  # of 25 ms
    found = timed(spoken, durations)
    assert [(place, span.name) for place, span in found] == [
        (None, "sil"),
        (0, "dh"),
        (0, "ah"),
        (1, "k"),
        (1, "ae"),
        (1, "t"),
        (None, "sil"),
        (None, "sil"),
    ]
    ends = [span.end_s for _, span in found]
    late = [0.1, 0.125, 0.2, 0.25, 0.325, 0.375, 0.45, 0.5]
    assert ends == pytest.approx([end - LEAD_S for end in late])


def test_times_have_no_gaps() -> None:
    found = timed("ðə ɹˈɛd, æpᵊl", np.ones(15, np.float32))
    spans = [span for _, span in found]
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(spans))
    assert spans[-1].end_s == pytest.approx(15 * 0.025 - LEAD_S)


def test_the_last_phone_ends_with_the_sound() -> None:
    pieces = [(0, Span("t", 0.1, 0.2)), (0, Span("uw", 0.2, 0.6)), (None, Span("sil", 0.6, 0.9))]
    assert ended(pieces, 0.35)[1:] == [
        (0, Span("uw", 0.2, 0.35)),
        (None, Span("sil", 0.35, 0.9)),
    ]
    assert ended(pieces, 0.7) == pieces
