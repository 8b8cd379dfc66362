"""Questions in words: their answers are true, in style, and follow their seeds."""

from __future__ import annotations

import random
import re

import pytest

from myna.train.examples import Example, Spoken
from myna.train.language import (
    arithmetic,
    comparing,
    dates,
    foreign,
    mix,
    repeating,
    skills,
    spelling,
    strange,
    style,
)
from myna.train.language.numbers import in_words
from myna.train.language.tokenizer import open_tokenizer

VALUES = {in_words(value): value for value in range(2000)}


def asked(name: str, seed: int = 0, count: int = 200) -> list[tuple[str, str]]:
    """Ask one kind of question by voice: without signs."""
    rng = random.Random(seed)
    found = [skills.ask_aloud(mix.find(name), rng) for _ in range(count)]
    return [(said(example), example.answer) for example in found]


def said(example: Example) -> str:
    part = example.question[0]
    assert isinstance(part, Spoken)
    return part.text


@pytest.mark.parametrize("skill", mix.SKILLS, ids=lambda skill: skill.name)
def test_every_skill_is_typed_and_spoken_by_seed(skill: skills.Skill) -> None:
    for ask in (skills.ask_typed, skills.ask_aloud):
        first = [ask(skill, random.Random(seed)) for seed in range(20)]
        assert first == [ask(skill, random.Random(seed)) for seed in range(20)]
    spoken = said(skills.ask_aloud(skill, random.Random(1)))
    assert re.fullmatch(r"[a-z' ]+", spoken)


def test_names_of_skills_are_unique() -> None:
    names = [skill.name for skill in mix.SKILLS]
    assert len(set(names)) == len(names)


def test_answers_can_be_spoken() -> None:
    rng = random.Random(0)
    tokens = open_tokenizer()
    for _ in range(1000):
        answer = mix.typed(rng).answer
        assert re.fullmatch(r"[a-z', ]+", answer), answer
        assert len(tokens.encode(answer)) < 60


@pytest.mark.parametrize(
    ("name", "sign", "result"),
    [
        ("add", "plus", lambda a, b: a + b),
        ("subtract", "minus", lambda a, b: a - b),
        ("multiply", "times", lambda a, b: a * b),
        ("divide", "divided by", lambda a, b: a // b),
    ],
)
def test_sums_are_right_and_said_whole(name: str, sign: str, result: object) -> None:
    assert callable(result)
    for _, answer in asked(name):
        left, right = answer.split(" is ")
        first, second = left.split(f" {sign} ")
        assert VALUES[right] == result(VALUES[first], VALUES[second])


def test_pairs_that_are_held_out_are_never_asked() -> None:
    for _, answer in asked("add", count=500):
        first, second = answer.split(" is ")[0].split(" plus ")
        assert not skills.is_held_out("add", VALUES[first], VALUES[second])


def test_times_of_the_clock_go_round() -> None:
    assert dates.later(11, 50, 20).words == "twelve ten"
    assert dates.later(12, 5, -10).words == "eleven fifty five"
    assert dates.later(12, 55, 10).signs == "1:05"
    assert dates.clock(7, 5).words == "seven oh five"
    assert dates.clock(7, 0).words == "seven o'clock"


def test_words_are_spelled_forwards_and_backwards() -> None:
    for question, answer in asked("spell"):
        assert answer.replace(" ", "") in question
    for question, answer in asked("spell_backwards"):
        assert answer.replace(" ", "")[::-1] in question


def test_the_same_is_told_from_the_different() -> None:
    answers = [answer for _, answer in asked("same")]
    assert 0.3 < answers.count(style.YES) / len(answers) < 0.7


def test_what_is_repeated_comes_back() -> None:
    assert all(question.endswith(answer) for question, answer in asked("repeat"))
    for question, answer in asked("reverse_words"):
        assert " ".join(reversed(answer.split())) in question


def test_things_that_are_compared_differ_by_two_steps() -> None:
    for question, answer in asked("bigger_thing"):
        assert answer in question
    assert len(comparing.SIZES) == 10


def test_everything_else_is_declined() -> None:
    rng = random.Random(0)
    declined = [mix.typed(rng) for _ in range(400)]
    declined = [example for example in declined if example.ability == "decline"]
    assert len(declined) > 20
    assert all(example.answer in style.DECLINES for example in declined)
    spoken = [mix.aloud(rng) for _ in range(200)]
    assert any(example.ability == "decline" for example in spoken)


def test_foreign_sentences_and_strange_words_follow_their_seed() -> None:
    assert foreign.make(random.Random(3)) == foreign.make(random.Random(3))
    made = {strange.strange_word(random.Random(seed)) for seed in range(50)}
    assert len(made) > 40
    assert all(word.isalpha() for word in made)


def test_people_type_lazily_or_properly() -> None:
    rng = random.Random(0)
    typed = {skills.punctuated("what is one plus two", rng) for _ in range(50)}
    assert typed == {f"{w}hat is one plus two{mark}" for w in "wW" for mark in ("", "?")}


def test_modules_share_no_templates_by_mistake() -> None:
    modules = (repeating, spelling, arithmetic, dates, comparing)
    assert all(len(set(s.templates)) == len(s.templates) for m in modules for s in m.SKILLS)
