"""Words that nano was never taught: to spell, to repeat, and to decline to talk about."""

from __future__ import annotations

import random

from myna.train.language.data import lines

WORDS = lines("strange_words")
_STARTS = (*"bcdfghjklmnprstvwz", "bl", "br", "ch", "cl", "dr", "fl", "gr", "pl", "sh", "st", "th")
_MIDDLES = (*"aeiou", "ai", "ee", "oo", "ou", "ar", "er", "or")
_ENDS = ("", "", *"bdgklmnprstx", "ck", "ll", "nd", "ng", "nt", "rd", "rk", "sh", "st")


def strange_word(rng: random.Random) -> str:
    """Draw a word that is no token of nano's, or make one up."""
    if rng.random() < 0.5:
        return rng.choice(WORDS)
    syllables = rng.choice((1, 2, 2, 3))
    return "".join(
        rng.choice(_STARTS) + rng.choice(_MIDDLES) + rng.choice(_ENDS) for _ in range(syllables)
    )
