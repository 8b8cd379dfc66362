"""Clips with sound: what was said while what was shown."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from myna.train.examples import Clip, Samples, Sound
from myna.train.language.words import COLOURS, ONES, TEENS
from myna.train.pictures import clips
from myna.train.pictures.asking import Sight, Skill, Studio
from myna.train.pictures.clips import FPS, Act
from myna.train.pictures.looking import called, the
from myna.train.pictures.scenes import Planned

ABILITY = "sound_in_video"
SAMPLE_HZ = 16_000
PART_FRAMES = (4, 4, 6)  # of one thing
SAID = (*COLOURS, *ONES, *TEENS)  # beside picture names
MAX_TRIES = 8
Told = tuple[str, str]  # what is asked for, and the answer


def _word(rng: random.Random, names: Sequence[str]) -> str:
    return rng.choice(names) if rng.random() < 0.4 else rng.choice(SAID)


def _shown_in_turn(
    rng: random.Random, studio: Studio, things: Sequence[Planned], words: Sequence[str]
) -> Clip:
    """Show things one after another and say a word during each."""
    part_frames = rng.choice(PART_FRAMES)
    num_frames = part_frames * len(things)
    parts = []
    for thing in things:
        acts = [Act(rng.choice(list(clips.DIRECTIONS)), 0, part_frames - 1)]
        film = clips.film(
            rng, studio.icons, [(thing, acts if rng.random() < 0.4 else [])], part_frames
        )
        parts.append(clips.record(rng, film).frames)
    part_samples = round(part_frames / FPS * SAMPLE_HZ)
    sound = np.concatenate([_within(rng, studio, word, part_samples) for word in words])
    assert sum(len(part) for part in parts) == num_frames
    return Clip(np.concatenate(parts), FPS, Sound(sound))


def _within(rng: random.Random, studio: Studio, word: str, length: int) -> Samples:
    """Say a word somewhere in a stretch of silence."""
    if studio.say is None:
        raise ValueError(f"{word!r} was to be said, but the studio has no voice")
    spoken = studio.say(word, rng)
    for _ in range(MAX_TRIES):
        if len(spoken) <= length:
            break
        spoken = studio.say(word, rng)
    spoken = spoken[:length]
    out = np.zeros(length, np.float32)
    start = rng.randint(0, length - len(spoken))
    out[start : start + len(spoken)] = spoken
    return out


def _drawn(rng: random.Random, studio: Studio) -> tuple[list[Planned], list[str]]:
    count = rng.choice((2, 2, 3))
    things = [Planned(name) for name in rng.sample(studio.icons.names, count)]
    words: list[str] = []
    while len(words) < count:
        word = _word(rng, studio.icons.names)
        if word not in words:
            words.append(word)
    return things, words


def _sight(
    rng: random.Random, studio: Studio, tell: Callable[[list[Planned], list[str], int], Told]
) -> Sight:
    things, words = _drawn(rng, studio)
    asked, answer = tell(things, words, rng.randrange(len(things)))
    return Sight(_shown_in_turn(rng, studio, things, words), answer, {"asked": asked})


def _what_was_said(rng: random.Random, studio: Studio) -> Sight:
    return _sight(rng, studio, lambda things, words, i: (the(things[i]), words[i]))


def _what_was_shown(rng: random.Random, studio: Studio) -> Sight:
    return _sight(rng, studio, lambda things, words, i: (words[i], called(things[i])))


SKILLS = (
    Skill(
        "what_was_said",
        ABILITY,
        (
            *("what was said with {asked}", "what did you hear with {asked}"),
            *("what did you hear while you saw {asked}", "what word was said with {asked}"),
            *("what was said while {asked} was there", "what do you hear when you see {asked}"),
            *("say what was said with {asked}", "which word did you hear with {asked}"),
        ),
        _what_was_said,
    ),
    Skill(
        "what_was_shown",
        ABILITY,
        (
            *("what was shown with the word {asked}", "what did you see while you heard {asked}"),
            *("what do you see when you hear {asked}", "what was there with the word {asked}"),
            *("say what was shown with the word {asked}", "which thing came with the word {asked}"),
        ),
        _what_was_shown,
    ),
)
