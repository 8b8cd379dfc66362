"""What commands write: answers to stdout, all else to stderr; bars for what takes long.

Not here: what they say.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from myna.core.errors import InvalidRequest
from myna.core.progress import Progress
from myna.core.settings import read_settings

if TYPE_CHECKING:
    from rich.progress import TaskID

MIN_LOGGED_SHARE = 0.25
BYTE_UNITS = {
    **{"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12},
    **{"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40},
}


def answer(text: str) -> None:
    """Write an answer."""
    print(text, flush=True)


def answer_json(value: object) -> None:
    """Write an answer for a program: JSON, in one document."""
    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()
    print(text, flush=True)


def note(text: str) -> None:
    """Tell the user something that is no answer."""
    print(text, file=sys.stderr, flush=True)


def table(rows: Iterable[Sequence[str]]) -> str:
    """Align columns; the last one may be of any width."""
    lines = [tuple(row) for row in rows]
    widths = [max(len(row[i]) for row in lines) for i in range(len(lines[0]) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in lines
    )


def size_text(num_bytes: int) -> str:
    """Write a number of bytes for people, in powers of ten."""
    if num_bytes < 1000:
        return f"{num_bytes} B"
    value, unit = num_bytes / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"


def bytes_of(text: str) -> int:
    """Read a number of bytes such as 500MB, 2GB or 1.5GiB.

    Raises:
        InvalidRequest: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    unit = None if match is None else BYTE_UNITS.get(match[2])
    if match is None or unit is None:
        raise InvalidRequest(f"{text!r} is no number of bytes; give one such as 500MB or 1.5GiB")
    return int(float(match[1]) * unit)


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Show each step's progress on stderr: a bar on a terminal, a few lines elsewhere."""
    if not sys.stderr.isatty():
        yield _progress_lines()
        return
    # Slow to import, and most commands draw nothing.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    console = Console(stderr=True, no_color=not read_settings().has_color)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=console, transient=True) as bars:

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total or None)
            bars.update(tasks[step], completed=done, total=total or None)
            if total and done >= total:
                bars.update(tasks[step], visible=False)

        yield report


def _progress_lines() -> Progress:
    """Write a line for each quarter of a step."""
    shown: dict[str, int] = {}

    def report(step: str, done: int, total: int) -> None:
        quarter = int(done / total / MIN_LOGGED_SHARE) if total else 0
        if quarter > shown.get(step, -1):
            shown[step] = quarter
            note(f"{step}: {done / total:.0%}" if total else step)

    return report
