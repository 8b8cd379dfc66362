"""Other languages than English: what is asked in them is declined."""

from __future__ import annotations

import random
import string

from myna.train.language.data import lines

SENTENCES = lines("foreign_sentences")
_WORDS = lines("foreign_words")
_BLOCKS = ((0x4E00, 0x6E00), (0x3042, 0x3093), (0xAC00, 0xC000), (0x0430, 0x044F), (0x0627, 0x0648))


def make(rng: random.Random) -> str:
    """Make a sentence, or what looks like one, in some other language."""
    kind = rng.random()
    if kind < 0.45:
        text = rng.choice(SENTENCES)
    elif kind < 0.75:
        text = " ".join(rng.choice(_WORDS) for _ in range(rng.randint(2, 7)))
    else:
        first, last = rng.choice(_BLOCKS)
        text = "".join(chr(rng.randrange(first, last)) for _ in range(rng.randint(2, 10)))
        if first < 0x1000 and len(text) > 5:
            text = f"{text[:4]} {text[4:]}"
    if rng.random() < 0.3:
        text = text.capitalize()
    return text + rng.choice(
        ("", "", "?", ".", "!") if text[-1] not in string.punctuation else ("",)
    )
