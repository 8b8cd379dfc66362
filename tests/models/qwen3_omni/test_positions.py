"""Positions on three axes, by hand; equality with the reference is proved under parity."""

from __future__ import annotations

import torch

from myna.models.qwen3_omni.positions import (
    Picture,
    Sound,
    Span,
    Video,
    advance,
    positions,
    spans_of_talker,
    video_first,
)


def place(num_tokens: int, *spans: Span) -> list[list[float]]:
    return positions(num_tokens, spans, positions_per_s=13).tolist()


def test_text_and_sound_count_on_all_axes() -> None:
    assert place(4) == [[0, 1, 2, 3]] * 3
    assert place(6, Span(Sound(3), 1, 6)) == [[0, 1, 2, 3, 4, 5]] * 3


def test_a_picture_shares_one_time() -> None:
    """Five text tokens, a picture of 2x3 between its start and end, two text tokens."""
    time, height, width = place(15, Span(Picture(2, 3), 5, 13))
    text, after = [0, 1, 2, 3, 4, 5], [9, 10, 11]
    assert time == [*text, *[6] * 6, *after]
    assert height == [*text, 6, 6, 6, 7, 7, 7, *after]
    assert width == [*text, 6, 7, 8, 6, 7, 8, *after]
    found = positions(15, [Span(Picture(2, 3), 5, 13)], positions_per_s=13)
    assert advance(found) == -3


def test_a_video_advances_by_fractions() -> None:
    time, _, _ = place(5, Span(Video(3, 1, 1, seconds_per_step=0.5), 0, 5))
    assert time == [0, 1, 7.5, 14, 15]


def test_a_video_and_its_sound_share_their_start() -> None:
    video = Video(2, 1, 1, seconds_per_step=2 / 13, sound=Sound(4))
    time, _, _ = place(10, Span(video, 0, 10))
    assert time == [0, 1, 2, 2, 3, 4, 4, 5, 6, 7]


def test_what_follows_begins_above_what_came_last_not_above_the_highest() -> None:
    wide = Video(1, 1, 9, seconds_per_step=1, sound=Sound(2))
    _, _, width = place(15, Span(wide, 0, 15))
    assert width == [0, 1, *range(2, 11), 2, 3, 4, 5]


def test_at_equal_times_the_video_comes_first() -> None:
    merged = video_first(torch.tensor([0.0, 0.0, 2.0]), torch.tensor([0.0, 1.0, 2.0]))
    assert merged.tolist() == [True, True, False, False, True, False]


def test_an_empty_prompt_is_not_ahead() -> None:
    assert advance(positions(0, [], positions_per_s=13)) == 0


def test_the_talker_overlooks_sound_in_the_last_videos() -> None:
    heard = Span(Video(1, 1, 1, 1.0, Sound(3)), 0, 8)
    picture = Span(Picture(1, 1), 8, 11)
    sound = Span(Sound(1), 11, 14)
    assert spans_of_talker([heard, picture, sound]) == (heard, picture, sound)
    assert spans_of_talker([picture, heard, sound]) == (picture, sound)
