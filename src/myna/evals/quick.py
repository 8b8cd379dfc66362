"""A small, fixed part of the evaluation in one file: it needs neither voices, fonts nor icons.

Tests put it to the model in the box, so that a change that makes it worse is seen at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from myna.core.messages import Message
from myna.core.service import Service
from myna.evals.asking import ask
from myna.evals.rows import ROWS

ALL = "all"
# Room for the rounding of other machines: by it a row may lose one answer and a half, all together
# three in a hundred.
LOST, LOST_OF_ALL = 1.5, 0.03


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one question with the files in it, and what it should get."""

    row: str
    kind: str
    question: Message
    wanted: str


def read(path: Path) -> tuple[Item, ...]:
    """Read questions."""
    return msgspec.msgpack.decode(path.read_bytes(), type=tuple[Item, ...])


def write(path: Path, items: tuple[Item, ...]) -> None:
    """Write questions."""
    path.write_bytes(msgspec.msgpack.encode(items))


def credit(item: Item, found: str) -> float:
    """Give 1 for a right answer, 0 for a wrong one; of words and letters, the right share."""
    (row,) = [row for row in ROWS if row.name == item.row]
    return 1 - min(1.0, row.grade(item.wanted, found).share)


async def examine(service: Service, items: tuple[Item, ...]) -> dict[str, float]:
    """Put the questions to a service; give the mean credit of each row, and of all under `ALL`."""
    earned: dict[str, list[float]] = {}
    for item in items:
        reply = await ask(service, item.question)
        found = "" if reply.has_failed else reply.text
        for name in (item.row, ALL):
            earned.setdefault(name, []).append(credit(item, found))
    return {name: sum(values) / len(values) for name, values in earned.items()}


def floors(found: Mapping[str, float], items: Sequence[Item]) -> dict[str, float]:
    """Give the credit under which a row, or all of them, must not fall on any machine.

    Args:
        found: mean credits, as `examine` gives them.
        items: the questions.
    """
    counts = Counter(item.row for item in items)
    return {
        name: max(0.0, round(value - (LOST / counts[name] if name != ALL else LOST_OF_ALL), 3))
        for name, value in found.items()
    }
