"""What the voices say so that ears learn: sentences, and words in an order that tells nothing.

Sentences alone would teach to guess; loose words, letters and numbers must truly be heard.
"""

from __future__ import annotations

import random
from functools import cache

from myna.train.examples import Spoken
from myna.train.language import mix
from myna.train.language.words import COLOURS, LETTERS, ONES, SHAPES, TEENS, TENS, domain
from myna.train.pictures.names import NAMES, phrase

SHORT = ("yes", "no", "nothing", "left", "right", "above", "below", *COLOURS, *SHAPES)


@cache
def vocabulary() -> tuple[str, ...]:
    """List every word that nano should hear, once, in an order that does not change."""
    named = (word for name in NAMES for word in phrase(name).split())
    return tuple(dict.fromkeys((*domain(), *named)))


def number(rng: random.Random) -> str:
    """Say a number below a thousand; small ones are as likely as large ones."""
    kind = rng.random()
    if kind < 0.3:
        return rng.choice((*ONES, *TEENS))
    if kind < 0.7:
        return f"{rng.choice(TENS)} {rng.choice(ONES[1:])}" if rng.random() < 0.8 else _tens(rng)
    rest = rng.choice(("", f" {_tens(rng)} {rng.choice(ONES[1:])}", f" {rng.choice(TEENS)}"))
    return f"{rng.choice(ONES[1:])} hundred{rest}"


def loose(rng: random.Random) -> str:
    """Say words, letters, numbers or names without a sentence around them."""
    kind = rng.random()
    if kind < 0.45:
        return " ".join(rng.choices(vocabulary(), k=rng.randint(1, 6)))
    if kind < 0.6:
        return " ".join(rng.choices(LETTERS, k=rng.randint(2, 7)))
    if kind < 0.75:
        link = rng.choice((" ", " plus ", " minus ", " times ", " and "))
        return link.join(number(rng) for _ in range(rng.randint(1, 3)))
    if kind < 0.92:
        names = (phrase(rng.choice(NAMES)) for _ in range(rng.choice((1, 1, 2, 3))))
        return " and ".join(names)
    return rng.choice(SHORT)


def question(rng: random.Random) -> str:
    """Say a question of those that are asked by voice."""
    return next(part.text for part in mix.aloud(rng).question if isinstance(part, Spoken))


def _tens(rng: random.Random) -> str:
    return rng.choice(TENS)
