"""What the evaluation found, as a table to read and as JSON to keep."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from myna.evals.runner import Miss, Result


class KindReport(msgspec.Struct, frozen=True, kw_only=True):
    """Report one kind of question of a row; `figure` is in per cent."""

    kind: str
    figure: float


class RowReport(msgspec.Struct, frozen=True, kw_only=True):
    """Report one row.

    Attributes:
        name: of the row.
        title: for readers.
        unit: "right", "WER", "CER", "ms" or "x".
        must: the bar, if there is one.
        aim: what is wanted.
        measured: the figure.
        passes: whether it reaches the bar.
        count: questions.
        num_failed: of them, requests that failed.
        note: what to know beside the figure.
        kinds: figures by kind of question, the worst first.
        misses: wrong answers, for whoever asked for them.
    """

    name: str
    title: str
    unit: str
    must: float | None
    aim: float | None
    measured: float
    passes: bool | None
    count: int
    num_failed: int = 0
    note: str = ""
    kinds: tuple[KindReport, ...] = ()
    misses: tuple[Miss, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Report a whole evaluation.

    Attributes:
        model: that was asked.
        machine: that it ran on.
        rows: in the order of the table.
    """

    model: str
    machine: str
    rows: tuple[RowReport, ...]


def row_report(result: Result, *, num_misses: int = 0) -> RowReport:
    """Report a row that was run.

    Args:
        result: what it found.
        num_misses: wrong answers to show.
    """
    row = result.row
    figures = [
        KindReport(kind=kind, figure=round(row.figure(errors), 1))
        for kind, errors in result.kinds.items()
    ]
    figures.sort(key=lambda each: each.figure, reverse=row.unit != "right")
    return RowReport(
        name=row.name,
        title=row.title,
        unit=row.unit,
        must=row.must,
        aim=row.aim,
        measured=round(result.figure, 1),
        passes=row.reaches(result.figure, row.must),
        count=result.count,
        num_failed=result.num_failed,
        kinds=tuple(figures) if len(figures) > 1 else (),
        misses=result.misses[:num_misses],
    )


HEAD = ("ability", "must", "aim", "measured", "questions", "")


def table_rows(rows: Sequence[RowReport]) -> list[tuple[str, ...]]:
    """Write reports as rows of a table, the heading first."""
    written: list[tuple[str, ...]] = [HEAD]
    for row in rows:
        verdict = {True: "reached", False: "missed", None: "reported"}[row.passes]
        cells = (bar(row, row.must), bar(row, row.aim), figure(row, row.measured))
        written.append((row.title, *cells, str(row.count), verdict))
    return written


def bar(row: RowReport, value: float | None) -> str:
    """Write a bar, such as ">= 90 %"."""
    if value is None:
        return "-"
    return f"{'>=' if row.unit == 'right' else '<='} {figure(row, value)}"


def figure(row: RowReport, value: float) -> str:
    """Write a figure with its unit."""
    match row.unit:
        case "right":
            return f"{value:g} %"
        case "ms":
            return f"{value:g} ms"
        case "x":
            return f"{value:g}"
        case _:
            return f"{row.unit} {value:g} %"


def line_of(row: RowReport) -> str:
    """Write one row in a line, with its worst kinds and what was answered wrongly."""
    kinds = ", ".join(f"{each.kind} {each.figure:g}" for each in row.kinds[:6])
    line = f"{row.name}: {figure(row, row.measured)}" + (f" ({kinds})" if kinds else "")
    wrong = [f"  {m.question!r}: wanted {m.wanted!r}, found {m.found!r}" for m in row.misses]
    return "\n".join((line, *wrong))
