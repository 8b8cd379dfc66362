"""What every question about a picture is made of: something to see, facts, and templates.

Templates of the evaluation are others than those of training (`myna.evals.heldout`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from myna.train.examples import Clip, Example, Picture, Samples, Spoken
from myna.train.language.skills import punctuated, wording
from myna.train.pictures import fonts, icons, photographs
from myna.train.pictures.fonts import Fonts
from myna.train.pictures.icons import Icons
from myna.train.pictures.photographs import Photographs

Say = Callable[[str, random.Random], Samples]

ASK_ABOUT = "ask_about"  # the ability of all questions that are asked by voice


@dataclass(frozen=True)
class Studio:
    """Hold what pictures are made with.

    Attributes:
        icons: in their styles.
        fonts: to write in.
        photographs: grounds, and what is to be declined; fields alone are if None.
        say: lets a voice speak a text, for clips with sound.
    """

    icons: Icons
    fonts: Fonts
    photographs: Photographs | None = None
    say: Say | None = None


@dataclass(frozen=True)
class Sight:
    """Hold what one question is about.

    Attributes:
        shown: a picture or a clip.
        answer: in the style of `myna.train.language.style`.
        slots: what goes into the template, by name.
    """

    shown: Picture | Clip
    answer: str
    slots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Skill:
    """Describe one kind of question.

    Attributes:
        name: also of its templates in the evaluation.
        ability: the row of the evaluation table.
        templates: lower case without a mark at the end; slots stand in braces.
        draw: makes a picture and its facts.
        weight: how often it is asked, beside the others of its ability.
    """

    name: str
    ability: str
    templates: Sequence[str]
    draw: Callable[[random.Random, Studio], Sight]
    weight: float = 1.0


def ask_typed(
    skill: Skill, rng: random.Random, studio: Studio, *, templates: Sequence[str] = ()
) -> Example:
    """Show a picture and ask as people type.

    Args:
        skill: what to ask.
        rng: draws the picture, its facts and the wording.
        studio: to make pictures with.
        templates: instead of the skill's own.
    """
    sight = skill.draw(rng, studio)
    text = wording(skill.templates, templates, rng).format(**sight.slots)
    return Example(skill.ability, (sight.shown, punctuated(text, rng)), sight.answer)


def ask_aloud(
    skill: Skill, rng: random.Random, studio: Studio, *, templates: Sequence[str] = ()
) -> Example:
    """Show a picture and ask with the voice."""
    sight = skill.draw(rng, studio)
    text = wording(skill.templates, templates, rng).format(**sight.slots)
    return Example(ASK_ABOUT, (sight.shown, Spoken(text)), sight.answer)


def open_studio(say: Say | None = None) -> Studio:
    """Open the studio of training, of what the stage `icons` left in the workshop.

    Args:
        say: lets a voice speak a text.
    """
    return Studio(icons.load(), fonts.installed(fonts.PACKAGES), photographs.load(), say)
