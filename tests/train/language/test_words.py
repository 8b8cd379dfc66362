"""Words, their inflections, numbers and sentences."""

from __future__ import annotations

import random

import pytest

from myna.train.language import sentences, words
from myna.train.language.numbers import digit_by_digit, in_words


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("cat", "cats"),
        ("box", "boxes"),
        ("baby", "babies"),
        ("day", "days"),
        ("woman", "women"),
        ("polar bear", "polar bears"),
        ("bread", "bread"),
        ("beach", "beaches"),
    ],
)
def test_plurals_are_spelled_as_in_books(one: str, many: str) -> None:
    assert words.plural(one) == many


@pytest.mark.parametrize(
    ("now", "then"),
    [("walk", "walked"), ("love", "loved"), ("carry", "carried"), ("stop", "stopped")],
)
def test_pasts_are_spelled_as_in_books(now: str, then: str) -> None:
    assert words.past(now) == then


def test_articles_follow_the_sound_of_the_first_letter() -> None:
    said = [words.with_article(name) for name in ("apple", "cat", "unicorn")]
    assert said == ["an apple", "a cat", "a unicorn"]


def test_the_domain_lists_every_word_once_and_in_lower_case() -> None:
    domain = words.domain()
    assert len(set(domain)) == len(domain)
    assert all(word.islower() for word in domain)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (42, "forty two"),
        (100, "one hundred"),
        (307, "three hundred seven"),
        (1234, "one thousand two hundred thirty four"),
        (-5, "minus five"),
    ],
)
def test_numbers_are_said(number: int, said: str) -> None:
    assert in_words(number) == said


def test_digits_are_said_one_by_one() -> None:
    assert digit_by_digit("470") == "four seven zero"


def test_a_number_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="1000000 has more than six digits"):
        in_words(1_000_000)


def test_sentences_follow_their_seed_and_use_known_words() -> None:
    first = [sentences.make(random.Random(seed)) for seed in range(200)]
    again = [sentences.make(random.Random(seed)) for seed in range(200)]
    assert first == again
    assert len(set(first)) > 190
    assert all(1 <= len(sentence.split()) <= 24 for sentence in first)
