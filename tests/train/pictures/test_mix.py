import random
from dataclasses import replace

import numpy as np
import pytest

from myna.train.examples import Clip, Picture, Spoken
from myna.train.language.style import DECLINE_PICTURE
from myna.train.language.words import domain
from myna.train.pictures import declining, mix, sounding
from myna.train.pictures.names import NAMES
from myna.train.pictures.photographs import Photographs


def test_every_ability_has_a_maker(studio):
    rng = random.Random(0)
    made = {ability: make(rng) for ability, make in mix.makers(studio).items()}
    assert set(made) == {
        *("name_picture", "scene", "read_line", "clip", "sound_in_video", "decline", "ask_about")
    }
    assert all(example.ability == ability for ability, example in made.items())
    assert all(isinstance(made[name].question[0], Picture) for name in ("scene", "read_line"))
    assert isinstance(made["clip"].question[0], Clip)
    assert isinstance(made["ask_about"].question[1], Spoken)


def test_makers_depend_on_the_seed_alone(studio):
    for make in mix.makers(studio).values():
        one, other = (make(random.Random(4)) for _ in range(2))
        assert one.answer == other.answer
        assert one.question[1] == other.question[1]


def test_without_a_voice_no_clip_speaks(studio):
    silent = replace(studio, say=None)
    assert "sound_in_video" not in mix.makers(silent)
    with pytest.raises(ValueError, match="the studio has no voice"):
        sounding.SKILLS[0].draw(random.Random(0), silent)


def test_skills_are_found_by_name():
    assert mix.find("missing").ability == "scene"
    with pytest.raises(KeyError, match="nothing"):
        mix.find("nothing")
    names = [skill.name for skill in mix.SKILLS]
    assert len(set(names)) == len(names)


def test_questions_are_worded_in_words_that_nano_knows():
    known = {*domain(), *(word for name in NAMES for word in name.split())}
    known |= {"way", "go"}  # of "which way did it go": learnt with that question
    for skill in mix.SKILLS:
        for template in skill.templates:
            words = template.replace(",", "").replace(":", "").split()
            unknown = {word for word in words if word.isalpha()} - known
            assert not unknown, (skill.name, unknown)


def test_photographs_are_declined(studio):
    cuttings = Photographs(np.zeros((2, 128, 128, 3), np.uint8))
    rng = random.Random(1)
    for where in (studio, replace(studio, photographs=cuttings)):
        assert declining.SKILLS[0].draw(rng, where).answer == DECLINE_PICTURE


def test_a_clip_with_sound_says_a_word_with_each_thing(studio, monkeypatch):
    said, shown = [], []
    film = sounding.clips.film

    def keep(rng, icons, cast, num_frames):
        shown.append(cast[0][0].name)
        return film(rng, icons, cast, num_frames)

    def say(text, rng):
        said.append(text)
        return np.full(4_000, 0.5, np.float32)

    monkeypatch.setattr(sounding.clips, "film", keep)
    speaking = replace(studio, say=say)
    rng = random.Random(2)
    for skill in sounding.SKILLS * 4:
        said.clear()
        shown.clear()
        sight = skill.draw(rng, speaking)
        seconds = len(sight.shown.frames) / sight.shown.fps
        assert len(sight.shown.sound.samples) == seconds * sounding.SAMPLE_HZ
        pairs = dict(zip(shown, said, strict=True))
        if skill.name == "what_was_said":
            assert pairs[sight.slots["asked"].removeprefix("the ")] == sight.answer
        else:
            (name,) = [name for name, word in pairs.items() if word == sight.slots["asked"]]
            assert sight.answer.split()[-1] == name.split()[-1]


def test_a_word_that_is_too_long_is_said_again_and_then_cut(studio):
    tries = []

    def say(text, rng):
        tries.append(text)
        return np.ones(100, np.float32)

    made = sounding._within(random.Random(0), replace(studio, say=say), "seven", 60)
    assert made.tolist() == [1.0] * 60
    assert len(tries) == 1 + sounding.MAX_TRIES
