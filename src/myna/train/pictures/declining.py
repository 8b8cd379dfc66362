"""Pictures that nano was not taught: it says so, whatever is asked."""

from __future__ import annotations

import random

from myna.train.examples import Picture
from myna.train.language.style import DECLINE_PICTURE
from myna.train.pictures import canvas, naming, photographs, scenes
from myna.train.pictures.asking import Sight, Skill, Studio

ABILITY = "decline"
FIELD_SHARE = 0.25  # the rest are photographs


def _photograph(rng: random.Random, studio: Studio) -> Sight:
    width, height = (rng.randint(scenes.MIN_SIDE_PX, scenes.MAX_SIDE_PX) for _ in range(2))
    if studio.photographs is None or rng.random() < FIELD_SHARE:
        image = photographs.field(rng, width, height)
    else:
        image = studio.photographs.draw(rng, width, height)
    return Sight(Picture(canvas.wear(rng, image, strength=0.7)), DECLINE_PICTURE)


SKILLS = (
    Skill(
        "photograph",
        ABILITY,
        (
            *naming.SKILLS[0].templates,
            *("describe the photo", "what is in this photo", "describe this", "where is this"),
            *("who is this", "describe the picture", "what happened here", "what is on the photo"),
        ),
        _photograph,
    ),
)
