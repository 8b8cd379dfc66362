"""Sums, differences, products and comparisons of whole numbers.

The answer says the whole sum: the numbers stand digit by digit beside their result, which is what a
small network can compute.
"""

from __future__ import annotations

import random

from myna.train.language.numbers import in_words
from myna.train.language.skills import Facts, Skill, is_held_out, number


def _pair(rng: random.Random, name: str) -> tuple[int, int]:
    """Draw two numbers of one to three digits that training may use."""
    while True:
        low, high = rng.choice(((0, 9), (0, 20), (10, 99), (10, 99), (100, 499), (0, 99)))
        first, second = rng.randint(low, high), rng.randint(low, high)
        if rng.random() < 0.15:
            second = rng.randint(0, 9)
        if not is_held_out(name, first, second):
            return first, second


def _said(first: int, sign: str, second: int, result: int) -> str:
    return f"{in_words(first)} {sign} {in_words(second)} is {in_words(result)}"


def sum_of(first: int, second: int) -> Facts:
    """Give the facts of a sum."""
    slots = {"a": number(first), "b": number(second)}
    return Facts(slots, _said(first, "plus", second, first + second))


def difference_of(first: int, second: int) -> Facts:
    """Give the facts of a difference."""
    slots = {"a": number(first), "b": number(second)}
    return Facts(slots, _said(first, "minus", second, first - second))


def _add(rng: random.Random) -> Facts:
    return sum_of(*_pair(rng, "add"))


def _subtract(rng: random.Random) -> Facts:
    first, second = sorted(_pair(rng, "subtract"), reverse=True)
    return difference_of(first, second)


def _multiply(rng: random.Random) -> Facts:
    first, second = rng.randint(0, 12), rng.randint(0, 12)
    if rng.random() < 0.15:
        first = rng.randint(1, 99) * 10 if rng.random() < 0.3 else rng.randint(10, 99)
        second = rng.randint(1, 3)
    slots = {"a": number(first), "b": number(second)}
    return Facts(slots, _said(first, "times", second, first * second))


def _divide(rng: random.Random) -> Facts:
    second, result = rng.randint(1, 12), rng.randint(0, 12)
    slots = {"a": number(second * result), "b": number(second)}
    return Facts(
        slots, f"{in_words(second * result)} divided by {in_words(second)} is {in_words(result)}"
    )


def _double(rng: random.Random) -> Facts:
    first = rng.randint(1, 99) if rng.random() < 0.7 else rng.randint(100, 499)
    return Facts({"a": number(first)}, f"double {in_words(first)} is {in_words(2 * first)}")


def _half(rng: random.Random) -> Facts:
    result = rng.randint(1, 60)
    return Facts({"a": number(2 * result)}, f"half of {in_words(2 * result)} is {in_words(result)}")


def _next(rng: random.Random) -> Facts:
    first = rng.randint(0, 120) if rng.random() < 0.7 else rng.randint(100, 999)
    return Facts({"a": number(first)}, in_words(first + 1))


def _previous(rng: random.Random) -> Facts:
    first = rng.randint(1, 120) if rng.random() < 0.7 else rng.randint(100, 999)
    return Facts({"a": number(first)}, in_words(first - 1))


def _even(rng: random.Random) -> Facts:
    first = rng.randint(0, 99) if rng.random() < 0.7 else rng.randint(100, 999)
    return Facts({"a": number(first)}, "odd" if first % 2 else "even")


def _unequal(rng: random.Random, count: int) -> list[int]:
    high = rng.choice((9, 20, 99, 99, 999))
    return rng.sample(range(high + 1), count)


def _bigger(rng: random.Random) -> Facts:
    first, second = _unequal(rng, 2)
    return Facts({"a": number(first), "b": number(second)}, in_words(max(first, second)))


def _smaller(rng: random.Random) -> Facts:
    first, second = _unequal(rng, 2)
    return Facts({"a": number(first), "b": number(second)}, in_words(min(first, second)))


def _biggest(rng: random.Random) -> Facts:
    found = _unequal(rng, 3)
    slots = {name: number(value) for name, value in zip("abc", found, strict=True)}
    return Facts(slots, in_words(max(found)))


def _smallest(rng: random.Random) -> Facts:
    found = _unequal(rng, 3)
    slots = {name: number(value) for name, value in zip("abc", found, strict=True)}
    return Facts(slots, in_words(min(found)))


SKILLS = (
    Skill(
        "add",
        (
            *(
                "what is {a} plus {b}",
                "how much is {a} plus {b}",
                "add {a} and {b}",
                "{a} plus {b}",
            ),
            *("what is {a} and {b}", "what is the sum of {a} and {b}", "please add {a} and {b}"),
            *("can you add {b} to {a}", "{a} + {b}", "what is {a} + {b}", "{a} + {b} =", "{a}+{b}"),
        ),
        _add,
        weight=4.0,
    ),
    Skill(
        "subtract",
        (
            *("what is {a} minus {b}", "how much is {a} minus {b}", "{a} minus {b}"),
            *("take {b} from {a}", "subtract {b} from {a}", "what is {a} take away {b}"),
            *("what is the difference between {a} and {b}", "{a} - {b}", "what is {a} - {b}"),
            *("{a}-{b}", "{a} - {b} ="),
        ),
        _subtract,
        weight=4.0,
    ),
    Skill(
        "multiply",
        (
            *("what is {a} times {b}", "how much is {a} times {b}", "{a} times {b}"),
            *("{a} x {b}", "{a} * {b}", "what is {a} x {b}", "can you tell me {a} times {b}"),
        ),
        _multiply,
        weight=1.5,
    ),
    Skill(
        "divide",
        (
            *("what is {a} divided by {b}", "how much is {a} divided by {b}"),
            *("{a} divided by {b}", "{a} / {b}", "what is {a} / {b}"),
        ),
        _divide,
        weight=0.8,
    ),
    Skill(
        "double",
        ("what is double {a}", "double {a}", "how much is twice {a}"),
        _double,
        weight=0.6,
    ),
    Skill(
        "half",
        ("what is half of {a}", "half of {a}", "how much is half of {a}", "tell me half of {a}"),
        _half,
        weight=0.6,
    ),
    Skill(
        "next_number",
        (
            *("which number comes after {a}", "what comes after {a}", "the number after {a}"),
            *("what number comes next after {a}", "tell me the number after {a}"),
        ),
        _next,
        weight=0.6,
    ),
    Skill(
        "previous_number",
        (
            *("which number comes before {a}", "what comes before {a}", "the number before {a}"),
            *("what number comes just before {a}", "tell me the number before {a}"),
        ),
        _previous,
        weight=0.6,
    ),
    Skill(
        "even",
        (
            *("is {a} even or odd", "is {a} odd or even", "even or odd {a}"),
            *("is the number {a} even or odd", "tell me is {a} odd or even"),
        ),
        _even,
        weight=0.6,
    ),
    Skill(
        "bigger",
        (
            *("which is bigger {a} or {b}", "which number is bigger {a} or {b}"),
            *("what is more {a} or {b}", "which is larger {a} or {b}", "which is more {a} or {b}"),
            *("tell me the larger number {a} or {b}", "which is greater, {a} or {b}"),
            *("{a} or {b} which is bigger", "which is bigger: {a} or {b}"),
        ),
        _bigger,
        weight=1.2,
    ),
    Skill(
        "smaller",
        (
            *("which is smaller {a} or {b}", "which number is smaller {a} or {b}"),
            *("what is less {a} or {b}", "which is less {a} or {b}", "which is lower {a} or {b}"),
            *("tell me the smaller number {a} or {b}", "{a} or {b} which is smaller"),
            *("which is smaller: {a} or {b}",),
        ),
        _smaller,
        weight=1.2,
    ),
    Skill(
        "biggest",
        (
            *("which is the biggest {a} {b} or {c}", "which number is the largest {a} {b} or {c}"),
            *("what is the biggest of {a} {b} and {c}", "which is the largest: {a}, {b} or {c}"),
            *("tell me the highest number {a} {b} {c}", "which is the biggest, {a}, {b} or {c}"),
        ),
        _biggest,
        weight=0.8,
    ),
    Skill(
        "smallest",
        (
            *("which is the smallest {a} {b} or {c}", "which number is the lowest {a} {b} or {c}"),
            *("what is the smallest of {a} {b} and {c}", "which is the lowest: {a}, {b} or {c}"),
            *("tell me the smallest number {a} {b} {c}", "which is the smallest, {a}, {b} or {c}"),
        ),
        _smallest,
        weight=0.8,
    ),
)
