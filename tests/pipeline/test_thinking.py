"""The guard of a reasoning block: budget and loops."""

from __future__ import annotations

import random

import pytest

from myna.pipeline.thinking import ThinkingGuard, ThinkingTokens, is_looping

OPEN, CLOSE = 8, 7
TOKENS = ThinkingTokens(open_id=OPEN, close_id=CLOSE, close_ids=(5, CLOSE, 6), spell=repr)


def make_guard(budget: int | None, *, is_open: bool = True) -> ThinkingGuard:
    return ThinkingGuard(TOKENS, budget=budget, is_open=is_open)


def drive(guard: ThinkingGuard, *, choose, num_tokens: int) -> list[int]:
    written: list[int] = []
    for _ in range(num_tokens):
        forced = guard.next_forced(written)
        written.append(choose(len(written)) if forced is None else forced)
    return written


def test_a_spent_budget_closes_the_block_once():
    written = drive(make_guard(10), choose=lambda idx: 100 + idx, num_tokens=40)
    assert written[10:13] == [5, 7, 6]
    assert written.count(7) == 1


def test_a_block_closed_by_the_model_is_left_alone():
    written = drive(
        make_guard(10),
        choose=lambda idx: 7 if idx == 4 else 100 + idx,
        num_tokens=40,
    )
    assert written.count(7) == 1
    assert written[4] == 7


def test_a_loop_closes_the_block():
    guard = make_guard(None)
    written = drive(guard, choose=lambda idx: 100 + idx % 12, num_tokens=600)
    assert written.count(7) == 1


def test_long_varied_thought_goes_on():
    numbers = random.Random(0)
    guard = make_guard(None)
    written = drive(guard, choose=lambda _: numbers.randrange(10, 500), num_tokens=2000)
    assert 7 not in written


def test_a_passage_repeated_a_few_times_is_no_loop():
    passage = list(range(60))
    assert not is_looping(list(range(100, 600)) + passage * 3)
    assert is_looping(list(range(100, 600)) + passage * 7)
    assert not is_looping([])


def test_a_block_that_the_first_token_opens_is_closed_too():
    guard = make_guard(10, is_open=False)
    written = drive(guard, choose=lambda idx: 100 + idx if idx else OPEN, num_tokens=40)
    assert written[10:13] == [5, CLOSE, 6]


def test_a_later_opening_mark_is_text():
    guard = make_guard(10, is_open=False)
    written = drive(guard, choose=lambda idx: OPEN if idx == 3 else 100 + idx, num_tokens=40)
    assert CLOSE not in written


@pytest.mark.parametrize("thought", ["so be it</think>", "so be it, and so on and on"])
def test_an_end_that_is_spelled_out_is_seen(thought):
    tokens = ThinkingTokens(
        open_id=None,
        close_id=None,
        close_ids=tuple(b"</think>"),
        spell=lambda token_ids: bytes(token_ids).decode(),
    )
    words = thought + "x" * 50
    guard = ThinkingGuard(tokens, budget=20, is_open=True)
    written = bytes(drive(guard, choose=lambda idx: ord(words[idx]), num_tokens=50)).decode()
    assert written.count("</think>") == 1
    assert written.index("</think>") == min(20, len(thought.removesuffix("</think>")))
