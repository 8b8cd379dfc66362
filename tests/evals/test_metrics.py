"""How answers are compared with those that were wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.evals import metrics
from myna.evals.metrics import Errors


@pytest.mark.parametrize(
    ("wanted", "found", "count"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "abd", 1), ("abc", "", 3), ("kitten", "sitting", 3)],
)
def test_the_fewest_edits_are_counted(wanted: str, found: str, count: int) -> None:
    assert metrics.distance(wanted, found) == count


@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_edits_are_a_distance(one: str, other: str, third: str) -> None:
    there = metrics.distance(one, other)
    assert there == metrics.distance(other, one)
    assert (there == 0) == (one == other)
    assert there <= metrics.distance(one, third) + metrics.distance(third, other)


def test_words_are_compared_without_capitals_and_marks() -> None:
    errors = metrics.word_errors("the old house", "The old, horse!")
    assert errors == Errors(1, 3)
    assert errors.share == pytest.approx(1 / 3)


def test_characters_are_compared_as_they_are_written() -> None:
    assert metrics.character_errors("Ab 12", "ab  12") == Errors(1, 5)


@pytest.mark.parametrize(
    ("wanted", "found", "wrong"),
    [("a cat", "Cat.", 0), ("a cat", "a dog", 1), ("a", "the", 1), ("a", "A", 0), ("yes", "", 1)],
)
def test_answers_are_right_but_for_articles_capitals_and_marks(
    wanted: str, found: str, wrong: int
) -> None:
    assert metrics.answer_errors(wanted, found) == Errors(wrong, 1)


def test_declining_is_known_by_its_beginning() -> None:
    start = "i was only taught"
    assert metrics.start_errors(start, "I was only taught English.").wrong == 0
    assert metrics.start_errors(start, "paris").wrong == 1


def test_errors_add_up_and_nothing_has_no_errors() -> None:
    assert Errors(1, 2) + Errors(3, 4) == Errors(4, 6)
    assert Errors(0, 0).share == 0
