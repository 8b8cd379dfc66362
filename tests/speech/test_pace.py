"""A voice's speed is that of its work, and its lead what is yet to be heard."""

from __future__ import annotations

import pytest

from myna.speech.pace import MIN_FRAMES, WINDOW_FRAMES, Pace

FRAME_S = 0.08


def test_the_factor_is_of_time_spent_not_of_time_waited() -> None:
    pace, now_s = Pace(FRAME_S), 100.0
    for frame in range(MIN_FRAMES):
        assert pace.realtime_factor is None
        pace.go(now_s)
        pace.go(now_s + 0.01)  # more text while it works changes nothing
        now_s += 0.1
        pace.take_frame(now_s, goes_on=frame % 2 == 0)
        now_s += 0.0 if frame % 2 == 0 else 50.0
    assert pace.realtime_factor == pytest.approx(0.1 / FRAME_S)


def test_only_the_last_frames_count() -> None:
    pace, now_s = Pace(FRAME_S), 0.0
    pace.go(now_s)
    for took_s in [1.0] * 10 + [0.04] * WINDOW_FRAMES:
        now_s += took_s
        pace.take_frame(now_s, goes_on=True)
    assert pace.realtime_factor == pytest.approx(0.5)


def test_the_lead_shrinks_with_time_and_begins_anew_after_a_gap() -> None:
    pace = Pace(FRAME_S)
    assert pace.lead_s(5.0) == 0.0
    pace.take_sound(10, 5.0)
    pace.take_sound(5, 5.2)
    assert pace.lead_s(5.2) == pytest.approx(1.0)
    assert pace.lead_s(7.0) == 0.0
    pace.take_sound(1, 7.0)
    assert pace.lead_s(7.0) == pytest.approx(FRAME_S)
