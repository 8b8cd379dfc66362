"""Read a line of text in a picture."""

from __future__ import annotations

import random

from myna.train.examples import Picture
from myna.train.pictures import lines
from myna.train.pictures.asking import Sight, Skill, Studio

ABILITY = "read_line"


def _read(rng: random.Random, studio: Studio) -> Sight:
    written = lines.line(rng, studio.fonts)
    return Sight(Picture(written.pixels), written.text)


SKILLS = (
    Skill(
        "read",
        ABILITY,
        (
            *("read this", "read the text", "what does it say", "read the line", "read it"),
            *("what is written here", "what is written", "please read this", "read this line"),
            *("what does this say", "what does the text say", "what is the text", "read the words"),
            *("what word is this", "tell me what is written", "what do you read", "read this text"),
        ),
        _read,
    ),
)
