"""The rate follows what is computed in a second."""

from __future__ import annotations

import pytest

from myna.engine.stats import Counters


def test_the_first_step_sets_the_rate_and_later_ones_move_it():
    counters = Counters()
    counters.add_step(100, 1.0)
    assert counters.tokens_per_s == pytest.approx(100)
    for _ in range(200):
        counters.add_step(30, 2.0)
    assert counters.tokens_per_s == pytest.approx(15, rel=0.01)
    assert counters.num_steps == 201


def test_a_step_too_short_to_measure_is_no_error():
    counters = Counters()
    counters.add_step(1, 0.0)
    assert counters.tokens_per_s > 0
