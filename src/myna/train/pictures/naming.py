"""Name a picture."""

from __future__ import annotations

import random

from myna.train.examples import Picture
from myna.train.language.style import NO, YES
from myna.train.pictures import scenes
from myna.train.pictures.asking import Sight, Skill, Studio
from myna.train.pictures.names import phrase

ABILITY = "name_picture"


def _name(rng: random.Random, studio: Studio) -> Sight:
    seen = scenes.lone(rng, studio.icons, grounds=studio.photographs)
    return Sight(Picture(seen.pixels), phrase(seen.things[0].name))


def _is_it(rng: random.Random, studio: Studio) -> Sight:
    seen = scenes.lone(rng, studio.icons, grounds=studio.photographs)
    name = seen.things[0].name
    asked = name if rng.random() < 0.5 else rng.choice(studio.icons.names)
    slots = {"thing": phrase(asked)}
    return Sight(Picture(seen.pixels), YES if asked == name else NO, slots)


SKILLS = (
    Skill(
        "name",
        ABILITY,
        (
            *("what is this", "what is it", "what's this", "what do you see", "name this"),
            *("name this picture", "what can you see", "tell me what this is", "what is shown"),
            *("what is in this picture", "what is in the picture", "name it", "what is here"),
            *("name the thing", "what do you see here", "what is this here"),
            *("what does the picture show", "what thing is this", "please name this picture"),
        ),
        _name,
        weight=8,
    ),
    Skill(
        "is_it",
        ABILITY,
        (
            *("is this {thing}", "is it {thing}", "is that {thing}", "do you see {thing}"),
            *("does the picture show {thing}", "is {thing} in the picture"),
            *("say if this is {thing}", "is it {thing} or not", "is this here {thing}"),
            *("is this {thing} or is it not", "say yes if this is {thing}", "{thing}, is it"),
        ),
        _is_it,
    ),
)
