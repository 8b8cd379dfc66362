"""Numbers as nano says them."""

from __future__ import annotations

from myna.train.language.words import ONES, TEENS, TENS

LIMIT = 1_000_000


def in_words(number: int) -> str:
    """Write a whole number: "forty two", "minus five", "three hundred seven".

    Raises:
        ValueError: it has more than six digits.
    """
    if abs(number) >= LIMIT:
        raise ValueError(f"{number} has more than six digits, and no words were given for those.")
    if number < 0:
        return f"minus {in_words(-number)}"
    if number < 10:
        return ONES[number]
    if number < 20:
        return TEENS[number - 10]
    if number < 100:
        return _joined(TENS[number // 10 - 2], number % 10)
    if number < 1000:
        return _joined(f"{in_words(number // 100)} hundred", number % 100)
    return _joined(f"{in_words(number // 1000)} thousand", number % 1000)


def digit_by_digit(digits: str) -> str:
    """Say digits one after another: "four seven one"."""
    return " ".join(ONES[int(digit)] for digit in digits)


def _joined(head: str, rest: int) -> str:
    return f"{head} {in_words(rest)}" if rest else head
