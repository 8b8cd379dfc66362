"""How soon a spoken answer begins after the end of a spoken question, and how fast it goes on."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

from myna.core.service import Service
from myna.evals.asking import Reply, ask, message
from myna.evals.heldout import seeds
from myna.evals.materials import Materials
from myna.evals.report import RowReport
from myna.train.examples import Example
from myna.train.language import mix, skills

TURN, FACTOR = "turn_ms", "real_time_factor"
COUNT = 20
SKILLS = ("add", "bigger_thing", "clock_later", "last_word")  # answers of several words
TURN_MUST_MS, TURN_AIM_MS = 300.0, 150.0
FACTOR_MUST, FACTOR_AIM = 0.3, 0.15


async def run(
    service: Service,
    materials: Materials,
    *,
    limit: int | None = None,
    progress: Callable[[str, int, int], None] = lambda row, done, total: None,
) -> tuple[RowReport, RowReport]:
    """Ask by voice for spoken answers; medians count, after one question to warm up.

    Args:
        service: on the machine that is measured.
        materials: that questions are made with.
        limit: the most questions.
        progress: is told how many were answered.
    """
    count = min(COUNT, limit or COUNT)
    replies: list[Reply] = []
    for number in range(count + 1):
        question = message(_question(seeds.generator(TURN, number), materials))
        replies.append(await ask(service, question, is_spoken=True))
        progress(TURN, number, count)
    spoken = [reply for reply in replies[1:] if reply.first_sound_s is not None]
    turns = [1000 * reply.first_sound_s for reply in spoken if reply.first_sound_s is not None]
    factors = [reply.end_s / reply.spoken_s for reply in spoken]
    failed = count - len(spoken)
    return (
        _report(
            TURN,
            "from the end of a spoken question to the first sound",
            unit="ms",
            values=turns,
            bars=(TURN_MUST_MS, TURN_AIM_MS),
            num_failed=failed,
        ),
        _report(
            FACTOR,
            "seconds to answer, for each second of speech",
            unit="x",
            values=factors,
            bars=(FACTOR_MUST, FACTOR_AIM),
            num_failed=failed,
        ),
    )


def _question(rng: random.Random, materials: Materials) -> Example:
    example = skills.ask_aloud(mix.find(rng.choice(SKILLS)), rng)
    return materials.voiced(example, rng, is_unheard=True)


def _report(
    name: str,
    title: str,
    *,
    unit: str,
    values: list[float],
    bars: tuple[float, float],
    num_failed: int,
) -> RowReport:
    must, aim = bars
    measured = statistics.median(values) if values else float("inf")
    return RowReport(
        name=name,
        title=title,
        unit=unit,
        must=must,
        aim=aim,
        measured=round(measured, 3 if unit == "x" else 0),
        passes=measured <= must,
        count=len(values) + num_failed,
        num_failed=num_failed,
    )
