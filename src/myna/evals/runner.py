"""Run a row of questions and answers against a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from myna.core.service import Service
from myna.evals.asking import Reply, ask, message
from myna.evals.heldout import seeds
from myna.evals.materials import Materials
from myna.evals.metrics import Errors
from myna.evals.rows import Asked, Row
from myna.train.sound.utterance import NotSpoken

NOTHING = Errors(0, 0)


@dataclass(frozen=True)
class Miss:
    """Hold a wrong answer, for whoever wants to know why."""

    kind: str
    question: str
    wanted: str
    found: str


@dataclass(frozen=True)
class Result:
    """Hold what a row found.

    Attributes:
        row: that was run.
        errors: of all its questions.
        count: questions.
        num_failed: requests that failed; they count as wrong.
        kinds: errors of each kind of question.
        misses: the wrong answers.
    """

    row: Row
    errors: Errors
    count: int
    num_failed: int
    kinds: dict[str, Errors]
    misses: tuple[Miss, ...]

    @property
    def figure(self) -> float:
        """Give the row's figure in per cent."""
        return self.row.figure(self.errors)


async def run_row(
    row: Row,
    service: Service,
    materials: Materials,
    *,
    count: int,
    progress: Callable[[str, int, int], None] = lambda row, done, total: None,
) -> Result:
    """Put the questions of a row one after another.

    Args:
        row: to run.
        service: answers.
        materials: that questions are made with.
        count: of questions.
        progress: is told the row's name, how many are done, and how many there are.
    """
    total, num_failed = NOTHING, 0
    kinds: dict[str, Errors] = {}
    misses: list[Miss] = []
    for number in range(count):
        asked = draw(row, number, materials)
        reply = await ask(service, message(asked.example))
        errors = row.grade(asked.example.answer, "" if reply.has_failed else reply.text)
        total += errors
        kinds[asked.kind] = kinds.get(asked.kind, NOTHING) + errors
        num_failed += reply.has_failed
        if errors.wrong:
            misses.append(_miss(asked, reply))
        progress(row.name, number + 1, count)
    return Result(row, total, count, num_failed, kinds, tuple(misses))


def draw(row: Row, number: int, materials: Materials) -> Asked:
    """Make one question of a row; what no synthesizer reads is drawn anew."""
    rng = seeds.generator(row.name, number)
    while True:
        try:
            return row.make(rng, materials)
        except NotSpoken:
            continue


def _miss(asked: Asked, reply: Reply) -> Miss:
    parts = asked.example.question
    text = " ".join(part if isinstance(part, str) else f"[{type(part).__name__}]" for part in parts)
    return Miss(asked.kind, text, asked.example.answer, reply.text)
