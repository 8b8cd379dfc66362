"""Guesses are what followed the last few tokens when they occurred before."""

from __future__ import annotations

import random

from myna.engine.lookup import MATCH_TOKENS, PromptLookup


def test_what_followed_the_latest_match_is_guessed():
    tokens = [1, 2, 3, 4, 5, 1, 2, 3, 6, 7, 1, 2, 3]
    assert PromptLookup(3).guess(tokens, limit=9) == (6, 7, 1)


def test_nothing_is_guessed_without_a_match_or_room():
    lookup = PromptLookup(4)
    assert lookup.guess([1, 2, 3, 4, 5], limit=9) == ()
    assert lookup.guess([1, 2, 3, 4, 5, 1, 2, 3], limit=0) == ()
    assert PromptLookup(4).guess([1], limit=9) == ()


def test_what_repeats_is_guessed_to_go_on():
    assert PromptLookup(5).guess([7, 7, 7, 7], limit=9) == (7, 7, 7, 7, 7)
    assert PromptLookup(5).guess([1, 2, 1, 2, 1, 2], limit=9) == (1, 2, 1, 2, 1)


def test_guesses_reach_no_further_than_allowed():
    tokens = [1, 2, 3, 4, 5, 6, 1, 2, 3]
    assert PromptLookup(9).guess(tokens, limit=2) == (4, 5)
    assert PromptLookup(1).guess(tokens, limit=2) == (4,)


def test_guesses_grow_shorter_when_they_were_wrong_and_longer_when_right():
    tokens = [1, 2, 3, 4, 5, 6, 7, 1, 2, 3]
    lookup = PromptLookup(4)
    lookup.learn(0)
    assert len(lookup.guess(tokens, limit=9)) == 1
    lookup.learn(1)
    assert len(lookup.guess(tokens, limit=9)) == 2
    lookup.learn(4)
    assert len(lookup.guess(tokens, limit=9)) == 4


def test_a_growing_sequence_is_looked_up_as_if_it_were_new():
    rng = random.Random(0)
    lookup, tokens = PromptLookup(3), [0]
    for _ in range(300):
        tokens += [rng.randrange(3) for _ in range(rng.randint(1, 4))]
        last = tokens[-MATCH_TOKENS:]
        places = [
            place
            for place in range(MATCH_TOKENS, len(tokens))
            if tokens[place - MATCH_TOKENS : place] == last
        ]
        wanted = tuple((tokens[places[-1] :] * 3)[:3]) if places else ()
        assert lookup.guess(tokens, limit=9) == wanted
