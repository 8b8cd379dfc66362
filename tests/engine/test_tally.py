"""A tally counts each distinct token once, however many there are."""

from __future__ import annotations

from collections import Counter

from myna.engine.tally import INITIAL_CAPACITY, TokenTally


def test_ids_are_distinct_and_counts_are_the_answers():
    tally = TokenTally([5, 5, 7])
    for token_id in (7, 9, 9):
        tally.add(token_id)
    assert tally.ids.tolist() == [5, 7, 9]
    assert tally.output_counts.tolist() == [0, 1, 2]


def test_a_tally_grows_beyond_its_first_capacity():
    tally = TokenTally([])
    answer = [number % 500 for number in range(20 * INITIAL_CAPACITY)]
    for token_id in answer:
        tally.add(token_id)
    found = dict(zip(tally.ids.tolist(), tally.output_counts.tolist(), strict=True))
    assert found == Counter(answer)
