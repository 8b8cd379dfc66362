"""The guard of a reasoning block: budget and loops."""

from __future__ import annotations

import random

from myna.pipeline.thinking import ThinkingGuard, ThinkingTokens, is_looping

TOKENS = ThinkingTokens(close_id=7, close_ids=(5, 7, 6))


def drive(guard: ThinkingGuard, *, choose, num_tokens: int) -> list[int]:
    written: list[int] = []
    for _ in range(num_tokens):
        forced = guard.next_forced(written)
        written.append(choose(len(written)) if forced is None else forced)
    return written


def test_a_spent_budget_closes_the_block_once():
    written = drive(ThinkingGuard(TOKENS, budget=10), choose=lambda idx: 100 + idx, num_tokens=40)
    assert written[10:13] == [5, 7, 6]
    assert written.count(7) == 1


def test_a_block_closed_by_the_model_is_left_alone():
    written = drive(
        ThinkingGuard(TOKENS, budget=10),
        choose=lambda idx: 7 if idx == 4 else 100 + idx,
        num_tokens=40,
    )
    assert written.count(7) == 1
    assert written[4] == 7


def test_a_loop_closes_the_block():
    guard = ThinkingGuard(TOKENS, budget=None)
    written = drive(guard, choose=lambda idx: 100 + idx % 12, num_tokens=600)
    assert written.count(7) == 1


def test_long_varied_thought_goes_on():
    numbers = random.Random(0)
    guard = ThinkingGuard(TOKENS, budget=None)
    written = drive(guard, choose=lambda _: numbers.randrange(10, 500), num_tokens=2000)
    assert 7 not in written


def test_a_passage_repeated_a_few_times_is_no_loop():
    passage = list(range(60))
    assert not is_looping(list(range(100, 600)) + passage * 3)
    assert is_looping(list(range(100, 600)) + passage * 7)
    assert not is_looping([])
