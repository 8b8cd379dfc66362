"""Say it again, say it backwards, find a word in it, tell whether two things are the same."""

from __future__ import annotations

import random

from myna.train.language import sentences, words
from myna.train.language.numbers import digit_by_digit, in_words
from myna.train.language.skills import Facts, Skill, Written
from myna.train.language.strange import strange_word
from myna.train.language.style import NO, YES
from myna.train.pictures.names import NAMES, phrase

ITEMS = tuple(
    dict.fromkeys((*words.NOUNS, *words.COLOURS, *words.ADJECTIVES, *words.SHAPES, *words.PEOPLE))
)


def _repeat(rng: random.Random) -> Facts:
    text = sentences.make(rng)
    if rng.random() < 0.06:
        text = " ".join(strange_word(rng) for _ in range(rng.randint(1, 3)))
    return Facts({"text": text}, text)


def _items(rng: random.Random, low: int, high: int) -> list[str]:
    pool = rng.choice((ITEMS, ITEMS, words.COLOURS, words.DAYS, words.MONTHS))
    return rng.sample(pool, rng.randint(low, high))


def _reverse_words(rng: random.Random) -> Facts:
    items = _items(rng, 2, 5)
    return Facts({"list": " ".join(items)}, " ".join(reversed(items)))


def _reverse_digits(rng: random.Random) -> Facts:
    digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(2, 5)))
    written = rng.choice((digits, " ".join(digits)))
    return Facts({"list": Written(written, digit_by_digit(digits))}, digit_by_digit(digits[::-1]))


def _sentence(rng: random.Random) -> list[str]:
    while True:
        found = sentences.make(rng).split()
        if 3 <= len(found) <= 9:
            return found


def _first_word(rng: random.Random) -> Facts:
    found = _sentence(rng)
    return Facts({"text": " ".join(found)}, f"the first word is {found[0]}")


def _last_word(rng: random.Random) -> Facts:
    found = _sentence(rng)
    return Facts({"text": " ".join(found)}, f"the last word is {found[-1]}")


def _count_words(rng: random.Random) -> Facts:
    found = _sentence(rng)[: rng.randint(2, 7)]
    return Facts({"text": " ".join(found)}, f"{in_words(len(found))} words")


def _same(rng: random.Random) -> Facts:
    kind = rng.random()
    first = _sentence(rng)
    second = list(first)
    if kind < 0.25:
        place = rng.randrange(len(first))
        second[place] = rng.choice([w for w in words.domain() if w != first[place]])
    elif kind < 0.5:
        first = phrase(rng.choice(NAMES)).split()
        second = phrase(rng.choice(NAMES)).split()
    elif kind < 0.65:
        first = phrase(rng.choice(NAMES)).split()
        second = list(first)
    slots = {"first": " ".join(first), "second": " ".join(second)}
    return Facts(slots, YES if first == second else NO)


SKILLS = (
    Skill(
        "repeat",
        (
            *("repeat {text}", "say {text}", "repeat after me {text}", "please say {text}"),
            *("can you say {text}", "say this {text}", "repeat this sentence {text}"),
            *("repeat the words {text}", "please repeat {text}", "say after me {text}"),
            *("repeat: {text}", "say: {text}", 'say "{text}"', 'repeat "{text}"', "say '{text}'"),
        ),
        _repeat,
        weight=1.5,
    ),
    Skill(
        "reverse_words",
        (
            *("say {list} backwards", "reverse {list}", "reverse the words {list}"),
            *("what is {list} backwards", "say these words backwards {list}", "{list} backwards"),
            *("say {list} in reverse order", "reverse: {list}", "backwards: {list}"),
            *("can you say {list} backwards", "please reverse {list}"),
        ),
        _reverse_words,
    ),
    Skill(
        "reverse_digits",
        (
            *("reverse the digits {list}", "say the digits {list} backwards"),
            *("what are the digits {list} backwards", "reverse the numbers {list}"),
            *("say the numbers {list} in reverse order", "digits {list} backwards"),
            *("reverse the digits: {list}", "can you say the digits {list} in reverse"),
        ),
        _reverse_digits,
    ),
    Skill(
        "first_word",
        (
            *("what is the first word of {text}", "which word comes first in {text}"),
            *("tell me the first word of {text}", "the first word of {text}"),
            *("what is the first word in {text}", "first word: {text}"),
            *("what is the first word of '{text}'", 'what is the first word in "{text}"'),
        ),
        _first_word,
        weight=0.6,
    ),
    Skill(
        "last_word",
        (
            *("what is the last word of {text}", "which word comes last in {text}"),
            *("tell me the last word of {text}", "the last word of {text}"),
            *("what is the last word in {text}", "last word: {text}"),
            *("what is the last word of '{text}'", 'what is the last word in "{text}"'),
        ),
        _last_word,
        weight=0.6,
    ),
    Skill(
        "count_words",
        (
            *("how many words are in {text}", "count the words {text}"),
            *("how many words are there in {text}", "how many words does {text} have"),
            *("count the words in {text}", "how many words: {text}"),
            *("how many words are in '{text}'", 'count the words in "{text}"'),
        ),
        _count_words,
        weight=0.8,
    ),
    Skill(
        "same",
        (
            *("is {first} the same as {second}", "are these the same {first} and {second}"),
            *("are {first} and {second} the same", "i said {first} did i say {second}"),
            *("i said {first} is that {second}", "is '{first}' the same as '{second}'"),
            *('same or not: "{first}" and "{second}"', "did i say {second} i said {first}"),
        ),
        _same,
        weight=1.2,
    ),
)
