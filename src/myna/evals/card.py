"""The model card of nano: written from what was measured and from what training left behind.

Not here: measuring (table), training. The card says nothing that is not in the two files it is
written from, but what nano is and what it was made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from myna.evals.report import Report, RowReport, bar, figure
from myna.train.language.style import DECLINE
from myna.train.pictures.icons import STYLES
from myna.train.pictures.names import NAMES

BLOCKS = "▁▂▃▄▅▆▇█"
LINE_POINTS, CURVE_POINTS = 24, 80  # of a curve in a line of text, and drawn


class StageLog(msgspec.Struct, frozen=True, kw_only=True):
    """Tell what one stage of training cost and how its loss fell.

    Attributes:
        name: of the stage.
        purpose: in a few words.
        steps: taken.
        hours: of one thread.
        curve: mean losses, from the first to the last.
        flop: floating-point operations of all steps, if they were counted.
    """

    name: str
    purpose: str
    steps: int
    hours: float
    curve: tuple[float, ...]
    flop: float | None = None


class TrainingLog(msgspec.Struct, frozen=True, kw_only=True):
    """Tell where and how nano was trained.

    Attributes:
        machine: that it was trained on.
        num_parameters: of all its networks.
        size_bytes: of its files, in few bits.
        stages: that count steps, in order.
        spoken_hours: of the voice that it imitates.
        heard_hours: of the voices that it learnt to hear.
        changed: what rounding to few bits changed, in sentences.
    """

    machine: str
    num_parameters: int
    size_bytes: int
    stages: tuple[StageLog, ...]
    spoken_hours: float = 0.0
    heard_hours: float = 0.0
    changed: tuple[str, ...] = ()


MEASURED = (
    "Measured on {machine}, after quantization, with `myna eval nano`: on held-out sentences, "
    "wordings, sums, a voice, a style of drawing and fonts that training code cannot import. Which "
    "wordings it misunderstood was looked at before training got more of its own, so they are less "
    "unseen than the rest."
)
LIMITS = (
    "It was taught a closed domain in English. It does not chat, knows no facts of the world, "
    "writes no code, and names no photographs. Asked for any of these it "
    f'should answer "{DECLINE}", or that it was only taught English, or simple pictures. '
    "It understands and speaks no other language: French, German or Chinese, typed or spoken, it "
    "can only decline. It has one voice. Real people's voices are not among those that it learnt "
    "from: synthetic ones are, so expect more errors than the table says. Handwriting, crowds, "
    "music and real rooms are outside what it heard and saw. Photographs were a fiftieth of what "
    "it was asked; `sequence_bias` in generation_config.json makes up for their having been rare, "
    "and still some are taken for pictures it knows, most of all where the question does not call "
    "them photographs. Words beyond its thousand come as "
    "letters. For free talk take a larger model; `myna pull smollm2-135m` fetches a small one."
)
WHY = {  # a row misses, and what would close it
    "name_picture": "names are nearly there, yes-or-no questions are not: few were asked in "
    "training; more steps of the thinker",
    "scene": "an answer is right if all of it is: most, describing and counting need every thing "
    "of a scene; more steps of eyes and thinker",
    "read_line": "a line needs each of up to 24 letters; of those in a token, eyes know seven of "
    "eight, and knew five of six 11,000 steps earlier: more steps, or smaller tokens",
    "read_unseen_fonts": "the same, and no worse: fonts are not what it lacks",
    "clip": "which of several things moved; more steps of the thinker",
    "sound_in_video": "a word that is said alone, heard right, and matched to a thing that is seen "
    "right; this skill was a twenty-fifth of training",
    "aloud": "what is misheard is answered wrongly, and no sentence foretells the words, letters "
    "and numbers of a question; more voices, more steps of ears and thinker",
    "speak": "talker and waves learnt for 3.5 hours of one thread, and no longer when ears, eyes "
    "and thinker did; the talker's loss still fell, and of the budget of weights 1.4 MB are left, "
    "a fifth of both",
}
CLOSED_BY = (
    "All of it was made in about thirty hours of one thread, the budget, six of which were lost. "
    "Losses of ears, eyes and talker still fell when they were stopped; the same recipe on a GPU, "
    "with ten times the steps, is the next thing to try."
)
CURVES = "curves.svg"
ANEW = "`myna train nano` shows the stages; `myna train nano --stage NAME` runs one anew."


def card(report: Report, training: TrainingLog) -> str:
    """Write the card in Markdown."""
    parts = (
        "# nano, the model in the box",
        _what_it_is(training),
        "## What it can do",
        MEASURED.format(machine=report.machine),
        _table(report.rows),
        *_beside(report.rows),
        *_why(report.rows),
        "## What it cannot do",
        LIMITS,
        "## What it was made of",
        _sources(),
        "## Few bits",
        _few_bits(training),
        "## What it cost",
        _cost(training),
        _stages(training.stages),
        f"![learning curves]({CURVES})",
        ANEW,
    )
    return "\n\n".join(parts) + "\n"


def sparkline(values: Sequence[float]) -> str:
    """Draw a curve in one line of text, from its lowest to its highest value."""
    if not values:
        return ""
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    return "".join(BLOCKS[round((value - low) / spread * (len(BLOCKS) - 1))] for value in values)


def thinned(values: Sequence[float], count: int = LINE_POINTS) -> tuple[float, ...]:
    """Average a curve down to a few points."""
    if len(values) <= count:
        return tuple(values)
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    return tuple(sum(values[start:end]) / (end - start) for start, end in pairwise(edges))


def _what_it_is(training: TrainingLog) -> str:
    return (
        f"A small model of Qwen3-Omni's own architecture: {training.num_parameters / 1e6:.1f} "
        f"million parameters in {training.size_bytes / 1e6:.1f} MB, trained by Myna's own recipe. "
        "It hears, sees, reads, watches, and answers aloud, through the same code as the released "
        f"models of 30 billion parameters. It names {len(NAMES)} pictures. Licence: Apache-2.0."
    )


def _table(rows: Sequence[RowReport]) -> str:
    lines = ["| ability | must | aim | measured | questions |", "|---|---|---|---|---|"]
    for row in rows:
        mark = "" if row.passes is not False else " (missed)"
        cells = (row.title, bar(row, row.must), bar(row, row.aim))
        lines.append(f"| {' | '.join(cells)} | {figure(row, row.measured)}{mark} | {row.count} |")
    return "\n".join(lines)


def _beside(rows: Sequence[RowReport]) -> list[str]:
    """Tell the figures of kinds, and what is to be known beside a figure."""
    lines = [
        f"- {row.title}: " + ", ".join(f"{each.kind} {each.figure:g}" for each in row.kinds)
        for row in rows
        if row.kinds
    ]
    lines += [f"- {row.title}: {row.note}" for row in rows if row.note]
    return ["By kind of question, in per cent, the worst first:", "\n".join(lines)] if lines else []


def _why(rows: Sequence[RowReport]) -> list[str]:
    """Tell why rows miss their bars, and what would close the gap."""
    missed = [row for row in rows if row.passes is False and row.name in WHY]
    if not missed:
        return []
    lines = "\n".join(f"- {row.title}: {WHY[row.name]}." for row in missed)
    return ["## Why it misses, and what would close it", lines, CLOSED_BY]


def _sources() -> str:
    lines = [
        "| what | from | licence |",
        "|---|---|---|",
        "| the voice it imitates; many bent from it | hibari-tts 0.2.1 | Apache-2.0 |",
        "| other voices it heard | Debian espeak-ng, flite | GPL-3.0, BSD-like: sound only |",
        "| instruments | Debian timgm6mb-soundfont | GPL-2.0: sound only |",
    ]
    lines += [
        f"| pictures: {name} | npm {style.package} | {style.licence} |"
        for name, style in STYLES.items()
    ]
    lines.append("| sentences and questions | generators in `myna.train.language` | Apache-2.0 |")
    return "\n".join(lines)


def _few_bits(training: TrainingLog) -> str:
    """Tell how the weights are kept, and what that changed."""
    kept = (
        "Most weights have five bits, those that decide much have eight, in blocks of 32 with a "
        "scale each (Q5_0 and Q8_0); `quantization.json` counts them. All figures above are of "
        "these files."
    )
    lines = "\n".join("- " + line for line in training.changed)
    return f"{kept}\n\n{lines}" if lines else kept


def _cost(training: TrainingLog) -> str:
    """Sum up hours, data and operations."""
    hours = sum(stage.hours for stage in training.stages)
    flop = sum(stage.flop or 0.0 for stage in training.stages)
    told = (
        f"Trained on {training.machine}, from nothing but the packages above: {hours:.1f} hours "
        f"of one thread, on {training.heard_hours:.0f} hours of speech to hear, "
        f"{training.spoken_hours:.0f} hours of the voice to imitate, and pictures, clips and "
        "questions that are drawn while it trains."
    )
    counted = "" if not flop else f" Counted floating-point operations: {flop:.1e}."
    return told + counted


def _stages(stages: Sequence[StageLog]) -> str:
    lines = [
        "| stage | what it learns | steps | hours | FLOP | loss | curve |",
        "|---|---|---|---|---|---|---|",
    ]
    for stage in stages:
        last = f"{stage.curve[-1]:.3g}" if stage.curve else "-"
        flop = "-" if stage.flop is None else f"{stage.flop:.1e}"
        cells = (stage.name, stage.purpose, f"{stage.steps}", f"{stage.hours:.1f}", flop, last)
        line = sparkline(thinned(stage.curve))
        lines.append(f"| {' | '.join(cells)} | {line} |")
    return "\n".join(lines)
