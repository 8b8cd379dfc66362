"""Held-out wordings: for every skill, with its slots, and unknown to training."""

from __future__ import annotations

import random
import re

import pytest

from myna.evals.heldout import declined, seeds, templates
from myna.train.language import data, foreign, mix
from myna.train.language.skills import openings
from myna.train.language.style import DECLINE_START
from myna.train.pictures import mix as pictures

WORDED = [(skill.name, skill.templates, templates.WORDS) for skill in mix.SKILLS]
WORDED += [(skill.name, skill.templates, templates.PICTURES) for skill in pictures.SKILLS]


@pytest.mark.parametrize(("name", "trained", "held_out"), WORDED, ids=lambda part: str(part)[:20])
def test_every_skill_has_wordings_of_its_own(
    name: str, trained: tuple[str, ...], held_out: templates.Templates
) -> None:
    assert held_out[name]
    opened = {f"{words} {template}" for template in trained for words in openings(template)}
    assert not set(held_out[name]) & (set(trained) | opened)
    known = {slot for template in trained for slot in re.findall(r"\{(\w+)\}", template)}
    for template in held_out[name]:
        assert set(re.findall(r"\{(\w+)\}", template)) <= known


def test_what_is_declined_is_new() -> None:
    assert not set(declined.lines("open_chat")) & set(data.lines("open_chat"))
    assert not set(declined.lines("foreign")) & set(foreign.SENTENCES)
    assert declined.make(random.Random(0)).answer == DECLINE_START


def test_equal_numbers_give_equal_questions_of_a_row() -> None:
    first, again = (seeds.generator("answer", 3).random() for _ in range(2))
    assert first == again
    assert first != seeds.generator("clip", 3).random()
