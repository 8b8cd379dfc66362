"""What every skill is made of: true facts, and templates that ask for them.

A skill draws facts by chance; a template words them. Templates of the evaluation are others than
those of training (`myna.evals.heldout`), and so are some of the facts.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from myna.train.examples import Example, Spoken
from myna.train.language.numbers import in_words
from myna.train.language.words import ASKING, CAPITALS

HELD_OUT_SHARE = 12  # one fact of so many is left to the evaluation
_SPEAKABLE = re.compile(r"(?:[a-z ]|(?<=[a-z])'(?=[a-z]))*")
_SLOT = re.compile(r"\{(\w+)\}")
OPENED_SHARE = 0.2  # of questions have words before them
ASKED_FOR = ("do you know", "i want to know", "could you say", "please say", "so", "and", "nano")
WISHED_FOR = ("could you", "would you", "i want you to", "nano please", "hey nano", "and")
_WISHES = ("count", "describe", "name", "read", "repeat", "reverse", "say", "spell", "tell")
_ASKS = (*ASKING, "is", "are", "was", "does", "did", "do", "can", "could", "would")


@dataclass(frozen=True)
class Written:
    """Hold what is typed in signs or said in words, such as "7:30" and "seven thirty"."""

    signs: str
    words: str


Slot = str | Written


@dataclass(frozen=True)
class Facts:
    """Hold what one question is about.

    Attributes:
        slots: what goes into the template, by name.
        answer: in the style of `myna.train.language.style`.
    """

    slots: Mapping[str, Slot]
    answer: str


@dataclass(frozen=True)
class Skill:
    """Describe one kind of question.

    Attributes:
        name: also of its templates in the evaluation.
        templates: lower case without a mark at the end; slots stand in braces.
        draw: makes facts.
        weight: how often it is asked, beside the others.
    """

    name: str
    templates: Sequence[str]
    draw: Callable[[random.Random], Facts]
    weight: float = 1.0


def number(value: int) -> Written:
    """Let a number be typed in digits or in words."""
    return Written(str(value), in_words(value))


def is_held_out(*key: object) -> bool:
    """Tell whether facts belong to the evaluation, by their own hash."""
    return zlib.crc32(repr(key).encode()) % HELD_OUT_SHARE == 0


def openings(template: str) -> tuple[str, ...]:
    """Give the words that may come before a question or a wish."""
    first = template.partition(" ")[0]
    return ASKED_FOR if first in _ASKS else WISHED_FOR if first in _WISHES else ()


def wording(own: Sequence[str], given: Sequence[str], rng: random.Random) -> str:
    """Choose a template.

    Args:
        own: the skill's; now and then one of them begins as people do who say more than they must.
        given: instead of these.
        rng: chooses.
    """
    if given:
        return rng.choice(given)
    template = rng.choice(own)
    possible = openings(template)
    if not possible or rng.random() >= OPENED_SHARE:
        return template
    return f"{rng.choice(possible)} {template}"


def ask_typed(skill: Skill, rng: random.Random, *, templates: Sequence[str] = ()) -> Example:
    """Ask as people type: digits or words, with capitals and marks or without.

    Args:
        skill: what to ask.
        rng: draws facts and wording.
        templates: instead of the skill's own.
    """
    facts = skill.draw(rng)
    template = wording(skill.templates, templates, rng)
    in_signs = rng.random() < 0.5
    shouted = rng.random() < 0.03
    slots = {}
    for name, slot in facts.slots.items():
        text = slot if isinstance(slot, str) else slot.signs if in_signs else slot.words
        slots[name] = text.capitalize() if shouted else text
    return Example("answer", (punctuated(template.format(**slots), rng),), facts.answer)


def ask_aloud(skill: Skill, rng: random.Random, *, templates: Sequence[str] = ()) -> Example:
    """Ask with the voice; only templates without signs are said."""
    facts = skill.draw(rng)
    own, given = ([t for t in some if is_speakable(t)] for some in (skill.templates, templates))
    template = wording(own, given, rng)
    slots = {k: v if isinstance(v, str) else v.words for k, v in facts.slots.items()}
    return Example("answer_aloud", (Spoken(template.format(**slots)),), facts.answer)


def is_speakable(template: str) -> bool:
    """Tell whether a template is words alone."""
    return " x " not in template and _SPEAKABLE.fullmatch(_SLOT.sub("", template)) is not None


def punctuated(text: str, rng: random.Random) -> str:
    """Write a sentence with a capital and a mark at its end, or as lazily as people do."""
    first, _, rest = text.partition(" ")
    if rng.random() < 0.35 and first.capitalize() in CAPITALS:
        text = f"{first.capitalize()} {rest}".rstrip()
    if rng.random() < 0.45 and text[-1].isalnum():
        text += "?" if first in _ASKS else "."
    return text
