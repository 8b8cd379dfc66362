"""Steps that must not take long settle where they take as long as they may."""

from __future__ import annotations

import pytest

from myna.engine.tempo import MIN_TOKENS, SLACK_SHARE, ReadingTempo


def test_with_all_the_time_there_is_no_limit() -> None:
    assert ReadingTempo().num_tokens(None) is None


def test_before_anything_was_read_and_without_time_prompts_still_move() -> None:
    tempo = ReadingTempo()
    assert tempo.num_tokens(5.0) == MIN_TOKENS
    tempo.add_step([1000], 1.0)
    assert tempo.num_tokens(0.0) == MIN_TOKENS


def test_answers_say_nothing_of_how_fast_prompts_are_read() -> None:
    tempo = ReadingTempo()
    tempo.add_step([1, 1, 100], 0.5)
    tempo.add_step([1, 1], 60.0)
    assert tempo.num_tokens(2.0) == SLACK_SHARE * 2.0 * 200


@pytest.mark.parametrize("slack_s", [1.0, 2.0, 4.0])
def test_lengths_settle_where_a_step_takes_its_share(slack_s: float) -> None:
    def duration_s(num_tokens: int) -> float:
        return 0.3 + num_tokens / 400  # one pass through the weights, and the tokens' own work

    tempo = ReadingTempo()
    tempo.add_step([1024], duration_s(1024))
    for _ in range(50):
        num_tokens = tempo.num_tokens(slack_s)
        assert num_tokens is not None
        tempo.add_step([num_tokens], duration_s(num_tokens))
    assert duration_s(num_tokens) == pytest.approx(SLACK_SHARE * slack_s, rel=0.1)
