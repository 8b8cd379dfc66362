"""`myna eval`."""

from __future__ import annotations

import asyncio
import os
import platform
from typing import TYPE_CHECKING, Annotated

import typer

import myna
from myna.cli.compose import choose, load_here
from myna.cli.console import answer, answer_json, note, progress_bars, table
from myna.cli.options import Dtype, DtypeOption, JsonOption
from myna.core.errors import Unavailable
from myna.core.progress import Progress
from myna.core.settings import read_settings

if TYPE_CHECKING:
    from myna.core.service import Service
    from myna.evals.report import RowReport

EXIT_MISSED = 1


def command(
    model: Annotated[
        str, typer.Argument(help="`nano`, or any model that hears and sees: a name or a folder.")
    ] = "nano",
    rows: Annotated[
        str | None, typer.Option(help="Rows of the table, with commas between; default: all.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Ask at most so many questions a row.", min=1)
    ] = None,
    misses: Annotated[int, typer.Option(help="Wrong answers of each row to show.", min=0)] = 0,
    dtype: DtypeOption = Dtype.AUTO,
    json: JsonOption = False,
) -> None:
    """Measure what a model can do, on questions that the model in the box was not trained on."""
    try:
        # It brings what questions are made with: voices, fonts, pictures.
        from myna.evals import table as evaluation  # noqa: PLC0415
        from myna.evals.report import Report, line_of, table_rows  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"questions are made with the package {error.name}, which is not installed; run "
            "`pip install 'myna[train]'`."
        ) from error
    names = evaluation.choose(None if rows is None else rows.split(","))
    choice = choose(
        model,
        read_settings(),
        dtype=dtype,
        max_context=None,
        keep_packed=None,
        kv_memory=None,
        yarn=None,
        is_echo=False,
    )

    async def measure(service: Service, progress: Progress) -> list[RowReport]:
        try:
            found = []
            asked = evaluation.run(
                names, service, limit=limit, num_misses=misses, progress=progress
            )
            async for row in asked:
                found.append(row)
                if not json:
                    note(line_of(row))
            return found
        finally:
            await service.close()

    with progress_bars() as progress:
        found = asyncio.run(measure(load_here(choice, progress), progress))
    if json:
        answer_json(Report(model=choice.model_id, machine=machine(), rows=tuple(found)))
    else:
        answer(table(table_rows(found)))
    if any(row.passes is False for row in found):
        raise typer.Exit(EXIT_MISSED)


def machine() -> str:
    """Name what the figures were measured on, for the model card."""
    return f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Myna {myna.__version__}"
