"""All that is asked in words alone, typed or said, each kind as often as its weight says."""

from __future__ import annotations

import random

from myna.train.examples import Example
from myna.train.language import (
    arithmetic,
    comparing,
    dates,
    declining,
    repeating,
    spelling,
    talk,
)
from myna.train.language.skills import Skill, ask_aloud, ask_typed

SKILLS: tuple[Skill, ...] = (
    *repeating.SKILLS,
    *spelling.SKILLS,
    *arithmetic.SKILLS,
    *dates.SKILLS,
    *comparing.SKILLS,
    *talk.SKILLS,
)
DECLINE_SHARE = 0.12
_WEIGHTS = tuple(skill.weight for skill in SKILLS)


def find(name: str) -> Skill:
    """Look a skill up.

    Raises:
        KeyError: there is none of that name.
    """
    return {skill.name: skill for skill in SKILLS}[name]


def typed(rng: random.Random) -> Example:
    """Type a question of any kind, or something to be declined."""
    if rng.random() < DECLINE_SHARE:
        return declining.make(rng)
    return ask_typed(rng.choices(SKILLS, _WEIGHTS)[0], rng)


def aloud(rng: random.Random) -> Example:
    """Ask the same with the voice."""
    if rng.random() < DECLINE_SHARE:
        return declining.make_aloud(rng)
    return ask_aloud(rng.choices(SKILLS, _WEIGHTS)[0], rng)
