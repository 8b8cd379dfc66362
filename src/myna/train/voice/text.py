"""What nano's voice practises: short utterances of the kinds that it will answer with.

Not here: sentences (language), who says them (teacher).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from myna.train.language import sentences, style, words
from myna.train.language.numbers import in_words
from myna.train.pictures.names import NAMES, phrase

Make = Callable[[random.Random], str]


def number(rng: random.Random) -> str:
    """Name a number, small ones as often as large ones."""
    return in_words(rng.randrange(10 ** rng.randint(1, 6)))


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
    return " ".join(rng.choices(_VOCABULARY, k=rng.randint(1, 6)))


def thing(rng: random.Random) -> str:
    """Name a thing: with an article, a colour or a number, or without any."""
    name = rng.choice((*NAMES, *words.SHAPES))
    match rng.randrange(4):
        case 0:
            return name
        case 1:
            return phrase(name)
        case 2:
            return words.with_article(f"{rng.choice(words.COLOURS)} {name}")
        case _:
            return f"{in_words(rng.randint(2, 12))} {words.plural(name)}"


def relation(rng: random.Random) -> str:
    """Say how two things stand to each other."""
    between = ("left of", "right of", "above", "below", "bigger than", "smaller than")
    one, other = rng.choices((*NAMES, *words.SHAPES), k=2)
    return f"the {one} is {rng.choice(between)} the {other}"


def clock(rng: random.Random) -> str:
    """Tell the time, or a day."""
    if rng.random() < 0.5:
        return f"{rng.choice(words.MONTHS)} {in_words(rng.randint(1, 31))}"
    hour, minute = in_words(rng.randint(1, 12)), rng.randrange(60)
    if minute == 0:
        return f"{hour} o'clock"
    return f"{hour} {'oh ' if minute < 10 else ''}{in_words(minute)}"


def fixed(rng: random.Random) -> str:
    """Say what is always said alike."""
    return rng.choice((*style.DECLINES, style.YES, style.NO, *words.DIRECTIONS))


_VOCABULARY = tuple(dict.fromkeys((*words.domain(), *" ".join(NAMES).split())))
_KINDS: tuple[tuple[Make, float], ...] = (
    (sentences.make, 0.36),
    (salad, 0.18),
    (thing, 0.15),
    (number, 0.08),
    (sum_of_two, 0.07),
    (spelled, 0.07),
    (relation, 0.04),
    (clock, 0.03),
    (fixed, 0.02),
)


def utterance(rng: random.Random) -> str:
    """Make one text to say: lower-case words."""
    makes, weights = zip(*_KINDS, strict=True)
    chosen: Make = rng.choices(makes, weights)[0]
    return chosen(rng)
