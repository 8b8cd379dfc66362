"""All that is asked about pictures and clips, typed or by voice, each as often as it weighs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from myna.train.examples import Example
from myna.train.pictures import declining, looking, naming, reading, sounding, watching
from myna.train.pictures.asking import Skill, Studio, ask_aloud, ask_typed

Maker = Callable[[random.Random], Example]

ABILITIES: dict[str, tuple[Skill, ...]] = {
    naming.ABILITY: naming.SKILLS,
    looking.ABILITY: looking.SKILLS,
    reading.ABILITY: reading.SKILLS,
    watching.ABILITY: watching.SKILLS,
    sounding.ABILITY: sounding.SKILLS,
    declining.ABILITY: declining.SKILLS,
}
SKILLS: tuple[Skill, ...] = tuple(skill for skills in ABILITIES.values() for skill in skills)
ALOUD = (naming.ABILITY, looking.ABILITY, watching.ABILITY)  # are asked by voice too


def find(name: str) -> Skill:
    """Look a skill up.

    Raises:
        KeyError: there is none of that name.
    """
    return {skill.name: skill for skill in SKILLS}[name]


def makers(studio: Studio) -> dict[str, Maker]:
    """Give a maker of examples for every ability; "ask_about" is asked by voice.

    Args:
        studio: to make pictures with; without a voice there are no clips with speech.
    """
    made = {
        ability: partial(_typed, studio=studio, skills=skills)
        for ability, skills in ABILITIES.items()
        if studio.say is not None or ability != sounding.ABILITY
    }
    spoken = tuple(skill for ability in ALOUD for skill in ABILITIES[ability])
    return {**made, "ask_about": partial(_aloud, studio=studio, skills=spoken)}


def _typed(rng: random.Random, *, studio: Studio, skills: Sequence[Skill]) -> Example:
    return ask_typed(_chosen(rng, skills), rng, studio)


def _aloud(rng: random.Random, *, studio: Studio, skills: Sequence[Skill]) -> Example:
    return ask_aloud(_chosen(rng, skills), rng, studio)


def _chosen(rng: random.Random, skills: Sequence[Skill]) -> Skill:
    return rng.choices(skills, [skill.weight for skill in skills])[0]
