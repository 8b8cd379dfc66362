"""The whole table: rows of questions and answers, then speech and speed; run and reported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from myna.core.errors import InvalidRequest
from myna.core.service import Service
from myna.evals import speaking, speed
from myna.evals.materials import Materials
from myna.evals.report import RowReport, row_report
from myna.evals.rows import ROWS
from myna.evals.runner import run_row

NAMES = (*(row.name for row in ROWS), speaking.NAME, speed.TURN, speed.FACTOR)
Progress = Callable[[str, int, int], None]  # (row, done, total)


def choose(names: Sequence[str] | None) -> tuple[str, ...]:
    """Check the names of rows; all of them if None.

    Raises:
        InvalidRequest: there is no such row.
    """
    unknown = [name for name in names or () if name not in NAMES]
    if unknown:
        raise InvalidRequest(f"there is no row {unknown[0]!r}; the rows are {', '.join(NAMES)}.")
    return NAMES if names is None else tuple(name for name in NAMES if name in names)


async def run(
    names: Sequence[str],
    service: Service,
    *,
    limit: int | None = None,
    num_misses: int = 0,
    progress: Progress = lambda row, done, total: None,
) -> AsyncIterator[RowReport]:
    """Run rows of the table in order, and report each as it ends.

    Args:
        names: of rows, made by `choose`.
        service: answers.
        limit: the most questions of a row.
        num_misses: wrong answers to show of each row.
        progress: is told how many questions of a row are done.
    """
    materials = Materials()
    for row in ROWS:
        if row.name in names:
            count = min(row.count, limit or row.count)
            result = await run_row(row, service, materials, count=count, progress=progress)
            yield row_report(result, num_misses=num_misses)
    if speaking.NAME in names:
        yield await speaking.run(service, limit=limit, num_misses=num_misses, progress=progress)
    if {speed.TURN, speed.FACTOR} & set(names):
        for report in await speed.run(service, materials, limit=limit, progress=progress):
            if report.name in names:
                yield report
