"""The rows of nano's table: what each asks, how it is graded, what it must reach.

Not here: how questions are put (asking), how rows are run (runner), speech and speed (aloud).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from myna.evals import metrics
from myna.evals.heldout import declined, styles, templates
from myna.evals.materials import Materials
from myna.evals.metrics import Errors
from myna.text.instructions import transcribe_prompt
from myna.train.examples import Example, Picture, Spoken
from myna.train.language import arithmetic, mix, sentences, skills
from myna.train.language.skills import is_held_out
from myna.train.language.style import DECLINE_START
from myna.train.pictures import asking, looking, naming, reading, sounding, watching
from myna.train.sound import events

Grade = Callable[[str, str], Errors]  # (wanted, found)
SUMS = {"add": arithmetic.sum_of, "subtract": arithmetic.difference_of}
RANGES = ((0, 20), (10, 99), (10, 99), (100, 499))
SILENT = frozenset(("repeat",))  # to repeat what was said is to transcribe it


@dataclass(frozen=True)
class Asked:
    """Hold one question of a row; the row's figure is also told for each `kind`."""

    kind: str
    example: Example


Make = Callable[[random.Random, Materials], Asked]


@dataclass(frozen=True, kw_only=True)
class Row:
    """Describe a row.

    Attributes:
        name: to choose it by.
        title: for readers.
        make: asks a question.
        grade: counts what an answer got wrong.
        unit: "WER" and "CER" count errors, the lower the better; "right" counts right answers.
        must: the bar in per cent, if there is one.
        aim: what is wanted, in per cent.
        count: questions, if no one says how many.
    """

    name: str
    title: str
    make: Make
    grade: Grade = metrics.answer_errors
    unit: str = "right"
    must: float | None
    aim: float | None
    count: int = 200

    def figure(self, errors: Errors) -> float:
        """Give the row's figure in per cent."""
        return 100 * (1 - errors.share if self.unit == "right" else errors.share)

    def reaches(self, figure: float, bar: float | None) -> bool | None:
        """Tell whether a figure reaches a bar; None where there is none."""
        if bar is None:
            return None
        return figure >= bar if self.unit == "right" else figure <= bar


def _transcribe(rng: random.Random, materials: Materials) -> Asked:
    text = sentences.make(rng)
    is_unheard = rng.random() < 0.5
    example = Example("transcribe", (Spoken(text), transcribe_prompt()), text)
    kind = "unheard voice" if is_unheard else "known voices"
    return Asked(kind, materials.voiced(example, rng, is_unheard=is_unheard))


def _picture(rng: random.Random, studio: asking.Studio, choice: Sequence[asking.Skill]) -> Asked:
    skill = rng.choices(choice, [skill.weight for skill in choice])[0]
    worded = templates.PICTURES[skill.name]
    return Asked(skill.name, asking.ask_typed(skill, rng, studio, templates=worded))


def _name_picture(rng: random.Random, materials: Materials) -> Asked:
    return _picture(rng, materials.studio, naming.SKILLS)


def _name_unseen_style(rng: random.Random, materials: Materials) -> Asked:
    return _picture(rng, materials.unseen_style, naming.SKILLS[:1])


def _scene(rng: random.Random, materials: Materials) -> Asked:
    return _picture(rng, materials.studio, looking.SKILLS)


def _read_line(rng: random.Random, materials: Materials) -> Asked:
    return _picture(rng, materials.studio, reading.SKILLS)


def _read_unseen_fonts(rng: random.Random, materials: Materials) -> Asked:
    return _picture(rng, materials.unseen_fonts, reading.SKILLS)


def _clip(rng: random.Random, materials: Materials) -> Asked:
    return _picture(rng, materials.studio, watching.SKILLS)


def _sound_event(rng: random.Random, materials: Materials) -> Asked:
    del materials
    return Asked("sound_event", events.make(rng))


def _sound_in_video(rng: random.Random, materials: Materials) -> Asked:
    return _picture(rng, materials.studio, sounding.SKILLS)


def _fresh(skill: skills.Skill, rng: random.Random) -> skills.Skill:
    """Let sums be of pairs that training leaves out."""
    if skill.name not in SUMS:
        return skill

    def draw(rng: random.Random) -> skills.Facts:
        while True:
            low, high = rng.choice(RANGES)
            first, second = rng.randint(low, high), rng.randint(low, high)
            if skill.name == "subtract":
                first, second = max(first, second), min(first, second)
            if is_held_out(skill.name, first, second):
                return SUMS[skill.name](first, second)

    return replace(skill, draw=draw)


def _skill(rng: random.Random) -> skills.Skill:
    return rng.choices(mix.SKILLS, [skill.weight for skill in mix.SKILLS])[0]


def _answer(rng: random.Random, materials: Materials) -> Asked:
    del materials
    skill = _fresh(_skill(rng), rng)
    return Asked(skill.name, skills.ask_typed(skill, rng, templates=templates.WORDS[skill.name]))


def _aloud(rng: random.Random, materials: Materials) -> Asked:
    is_unheard = rng.random() < 0.5
    if rng.random() < 0.3:
        pictured = rng.choice((*naming.SKILLS[:1], *looking.SKILLS, *watching.SKILLS))
        example = asking.ask_aloud(pictured, rng, materials.studio)
        kind = f"about a {'clip' if pictured in watching.SKILLS else 'picture'}"
    else:
        while (skill := _skill(rng)).name in SILENT:
            pass
        worded = templates.WORDS[skill.name]
        example = skills.ask_aloud(_fresh(skill, rng), rng, templates=worded)
        kind = "in words"
    return Asked(kind, materials.voiced(example, rng, is_unheard=is_unheard))


def _decline(rng: random.Random, materials: Materials) -> Asked:
    del materials
    if rng.random() < 0.25:
        shown = Picture(styles.photograph(rng))
        question = rng.choice(templates.PICTURES["photograph"])
        return Asked("photograph", Example("decline", (shown, question), DECLINE_START))
    return Asked("typed", declined.make(rng))


ROWS = (
    Row(
        name="transcribe",
        title="transcribe unseen sentences, synthetic voices, half of them one never heard",
        make=_transcribe,
        grade=metrics.word_errors,
        unit="WER",
        must=20,
        aim=8,
    ),
    Row(
        name="name_picture",
        title="name a picture, new backgrounds, sizes and turns",
        make=_name_picture,
        must=95,
        aim=95,
    ),
    Row(
        name="name_unseen_style",
        title="name a picture drawn in a style never seen",
        make=_name_unseen_style,
        must=40,
        aim=50,
    ),
    Row(
        name="scene",
        title="count, colour, shape, place, bigger or smaller, what is missing",
        make=_scene,
        must=95,
        aim=95,
    ),
    Row(
        name="read_line",
        title="read one line",
        make=_read_line,
        grade=metrics.character_errors,
        unit="CER",
        must=5,
        aim=3,
    ),
    Row(
        name="read_unseen_fonts",
        title="read one line in fonts never seen",
        make=_read_unseen_fonts,
        grade=metrics.character_errors,
        unit="CER",
        must=10,
        aim=6,
    ),
    Row(
        name="clip",
        title="a clip: what moved, which way, grew, turned, vanished, in which order",
        make=_clip,
        must=90,
        aim=95,
    ),
    Row(
        name="sound_event",
        title="sound events: which, how many, high or low, in which order",
        make=_sound_event,
        must=85,
        aim=90,
    ),
    Row(
        name="sound_in_video",
        title="what was said while what was shown",
        make=_sound_in_video,
        must=75,
        aim=90,
    ),
    Row(
        name="answer",
        title="typed questions: repeat, spell, reverse, compare, sums, dates, times",
        make=_answer,
        must=90,
        aim=95,
        count=500,
    ),
    Row(
        name="aloud",
        title="the same asked by voice, also about pictures and clips",
        make=_aloud,
        must=75,
        aim=90,
        count=300,
    ),
    Row(
        name="decline",
        title="says so when it was not taught: chat, facts, other languages, photographs",
        make=_decline,
        grade=metrics.start_errors,
        must=90,
        aim=95,
    ),
)
