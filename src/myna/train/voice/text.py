"""What nano's voice practises: short utterances of the kinds that it will answer with.

Not here: questions, and whole sentences (language).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from myna.train.language import words
from myna.train.pictures import names

Make = Callable[[random.Random], str]


def number(rng: random.Random) -> str:
    """Name a number, small ones as often as large ones."""
    return in_words(rng.randrange(10 ** rng.randint(1, 4)))


def in_words(value: int) -> str:
    """Name a number under ten thousand: 132 is one hundred thirty two."""
    if value < 10:
        return words.ONES[value]
    if value < 20:
        return words.TEENS[value - 10]
    for size, name in ((1_000, "thousand"), (100, "hundred")):
        if value >= size:
            rest = f" {in_words(value % size)}" if value % size else ""
            return f"{in_words(value // size)} {name}{rest}"
    rest = f" {words.ONES[value % 10]}" if value % 10 else ""
    return words.TENS[value // 10 - 2] + rest


def sum_of_two(rng: random.Random) -> str:
    """Say a sum or a difference."""
    a, b = sorted((rng.randrange(1_000), rng.randrange(100)), reverse=True)
    word, result = rng.choice((("plus", a + b), ("minus", a - b)))
    return f"{in_words(a)} {word} {in_words(b)} is {in_words(result)}"


def spelled(rng: random.Random) -> str:
    """Spell a word."""
    return " ".join(rng.choice(_VOCABULARY))


def salad(rng: random.Random) -> str:
    """Say words of the domain in no order, so that each is heard beside each."""
    return " ".join(rng.choices(_VOCABULARY, k=rng.randint(1, 7)))


def thing(rng: random.Random) -> str:
    """Name a thing with an article, a number, a colour or none."""
    name = rng.choice(_NAMES)
    match rng.randrange(4):
        case 0:
            return name
        case 1:
            return words.with_article(name)
        case 2:
            return f"{words.with_article(rng.choice(words.COLOURS))} {name}"
        case _:
            return f"{rng.choice(words.ONES[2:])} {words.plural(name)}"


def relation(rng: random.Random) -> str:
    """Say where a thing is."""
    place = rng.choice(("left of", "right of", "above", "below", "bigger than", "smaller than"))
    return f"the {thing_name(rng)} is {place} the {thing_name(rng)}"


def thing_name(rng: random.Random) -> str:
    """Name a thing, perhaps coloured."""
    name = rng.choice(_NAMES)
    return f"{rng.choice(words.COLOURS)} {name}" if rng.random() < 0.5 else name


_NAMES = (*words.NOUNS, *words.SHAPES, *names.NAMES)
_VOCABULARY = tuple(dict.fromkeys((*words.domain(), *" ".join(_NAMES).split())))
_KINDS: tuple[tuple[Make, float], ...] = (
    (number, 0.12),
    (sum_of_two, 0.08),
    (spelled, 0.1),
    (salad, 0.4),
    (thing, 0.2),
    (relation, 0.1),
)


def utterance(rng: random.Random) -> str:
    """Make one text to say: lower-case words."""
    makes, weights = zip(*_KINDS, strict=True)
    chosen: Make = rng.choices(makes, weights)[0]
    return chosen(rng)
