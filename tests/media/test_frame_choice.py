from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch

from myna.core.errors import InvalidRequest
from myna.media.frame_choice import ClipOptions, choose_frames, make_timeline


def slow_choice(total: int, fps: float, options: ClipOptions) -> list[int]:
    """Write the vendor's choice a second time, for videos of an even rate."""
    first, last = 0, total - 1
    if options.start_s is not None:
        first = math.ceil(options.start_s * fps)
    if options.end_s is not None:
        last = min(math.floor(options.end_s * fps), total - 1)
    total = last - first + 1
    if options.num_frames is not None:
        count = round(options.num_frames / 2) * 2
    else:
        least = math.ceil(options.min_frames / 2) * 2
        most = math.floor(min(options.max_frames, total) / 2) * 2
        count = total / fps * options.fps
        count = min(min(max(count, least), most), total)
        count = math.floor(count / 2) * 2
    return torch.linspace(first, last, count, dtype=torch.float64).round().long().tolist()


def test_even_videos_are_watched_as_by_the_reference() -> None:
    draw = random.Random(0)
    for _ in range(300):
        fps = draw.choice([1.0, 12.5, 24.0, 24000 / 1001, 25.0, 30.0, 30000 / 1001, 50.0, 60.0])
        total = draw.randint(2, 4000)
        options = ClipOptions(
            factor=32,
            fps=draw.choice([0.5, 1.0, 2.0, 3.7]),
            num_frames=draw.choice([None, None, draw.randrange(2, min(total, 768) + 1, 2)]),
        )
        timeline = make_timeline(np.arange(total) / fps + 0.7, stated_fps=fps)
        choice = choose_frames(timeline, options)
        expected = slow_choice(total, fps, options)
        assert list(choice.indices) == expected
        assert choice.sample_fps == pytest.approx(len(expected) / total * fps)


@pytest.mark.parametrize(("start_s", "end_s"), [(1.0, None), (None, 2.5), (0.99, 3.333)])
def test_a_stretch_is_cut_as_by_the_reference(start_s: float | None, end_s: float | None) -> None:
    options = ClipOptions(factor=32, start_s=start_s, end_s=end_s)
    timeline = make_timeline(np.arange(150) / 30, stated_fps=30.0)
    assert list(choose_frames(timeline, options).indices) == slow_choice(150, 30.0, options)


def test_a_stated_rate_that_does_not_fit_is_not_believed() -> None:
    timeline = make_timeline(np.arange(100) / 25, stated_fps=1e9)
    assert timeline.is_even
    assert timeline.fps == pytest.approx(25.0)


def test_rounded_stamps_still_count_as_even() -> None:
    stamps = np.round(np.arange(1000) / 29.97, 3)  # Matroska keeps thousandths
    assert make_timeline(stamps, stated_fps=29.97).is_even


def test_uneven_videos_are_watched_by_time() -> None:
    # Ten seconds at one frame a second, then one second at fifty.
    times_s = np.concatenate([np.arange(10.0), 10 + np.arange(50) / 50])
    timeline = make_timeline(times_s, stated_fps=None)
    choice = choose_frames(timeline, ClipOptions(factor=32, num_frames=12))
    chosen_s = timeline.times_s[list(choice.indices)]
    wanted_s = np.linspace(0, times_s[-1], 12)
    assert not timeline.is_even
    assert (chosen_s <= wanted_s).all()
    assert (wanted_s - chosen_s < 1.0).all()
    assert choice.sample_fps == pytest.approx(12 / choice.duration_s)
    part = choose_frames(timeline, ClipOptions(factor=32, start_s=10.0, end_s=10.5))
    assert min(part.indices) == 10
    assert timeline.times_s[max(part.indices)] <= 10.5


def slow_choice_by_time(times_s: list[float], options: ClipOptions) -> list[int]:
    """Write the choice a second time, for videos of an uneven rate: what is on screen when."""
    length_s = times_s[-1] - times_s[0]
    duration_s = length_s * len(times_s) / (len(times_s) - 1)
    most = min(options.max_frames, len(times_s)) // 2 * 2
    count = int(min(max(duration_s * options.fps, options.min_frames), most)) // 2 * 2
    chosen = [0]
    for step in range(1, count - 1):
        wanted_s = times_s[0] + length_s * step / (count - 1)
        chosen.append(max(i for i, time_s in enumerate(times_s) if time_s <= wanted_s))
    return [*chosen, len(times_s) - 1]


def test_uneven_videos_are_watched_as_the_formula_says() -> None:
    draw, rng = random.Random(2), np.random.default_rng(2)
    for _ in range(200):
        gaps_s = rng.exponential(1 / draw.choice([3.0, 24.0, 30.0]), draw.randint(9, 400))
        gaps_s[len(gaps_s) // 2 :] *= 10
        times_s = np.cumsum(gaps_s)
        timeline = make_timeline(times_s, stated_fps=draw.choice([None, 24.0, 30.0]))
        assert not timeline.is_even
        options = ClipOptions(factor=32, fps=draw.choice([0.5, 1.0, 2.0, 3.7]))
        choice = choose_frames(timeline, options)
        assert list(choice.indices) == slow_choice_by_time(timeline.times_s.tolist(), options)


def test_one_frame_is_watched_twice() -> None:
    timeline = make_timeline(np.zeros(1), stated_fps=30.0)
    assert choose_frames(timeline, ClipOptions(factor=32)).indices == (0, 0)


def test_frames_with_one_stamp_for_all_are_watched() -> None:
    timeline = make_timeline(np.zeros(7), stated_fps=None)
    choice = choose_frames(timeline, ClipOptions(factor=32))
    assert math.isfinite(choice.sample_fps)


def test_long_videos_are_watched_at_a_lower_rate() -> None:
    timeline = make_timeline(np.arange(18_000) / 30, stated_fps=30.0)
    choice = choose_frames(timeline, ClipOptions(factor=32))
    assert len(choice.indices) == 768
    assert choice.sample_fps == pytest.approx(768 / 600)


@pytest.mark.parametrize("num_frames", [0, 1, 11, 12, 10_000])
def test_more_frames_than_there_are_cannot_be_asked_for(num_frames: int) -> None:
    timeline = make_timeline(np.arange(10) / 30, stated_fps=30.0)
    with pytest.raises(InvalidRequest, match="but the video has 10 frames"):
        choose_frames(timeline, ClipOptions(factor=32, num_frames=num_frames))


def test_a_stretch_without_frames_cannot_be_asked_for() -> None:
    timeline = make_timeline(np.arange(30) / 30, stated_fps=30.0)
    with pytest.raises(InvalidRequest, match=r"from 2 s to its end, but it lasts 0\.97 s"):
        choose_frames(timeline, ClipOptions(factor=32, start_s=2.0))
    with pytest.raises(InvalidRequest, match=r"from 0\.5 s to 0\.2 s"):
        choose_frames(timeline, ClipOptions(factor=32, start_s=0.5, end_s=0.2))
