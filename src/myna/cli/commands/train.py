"""`myna train`."""

from __future__ import annotations

from typing import Annotated

import typer

from myna.cli.console import answer, answer_json, note, table
from myna.cli.options import JsonOption
from myna.core.errors import InvalidRequest

MODELS = ("nano",)


def command(
    model: Annotated[str, typer.Argument(help="What to train; `nano` is all there is.")] = "nano",
    stage: Annotated[
        str | None, typer.Option(help="The stage to run; without it, show how far all have come.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Stop after so long; the same command goes on from there.", min=0.1),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads to compute with (default: all cores).", min=1)
    ] = None,
    processes: Annotated[
        int,
        typer.Option(help="Share a stage among so many processes, and the threads too.", min=1),
    ] = 1,
    json: JsonOption = False,
) -> None:
    """Train the model in the box anew, stage by stage, from packages and generators alone."""
    if model not in MODELS:
        raise InvalidRequest(f"{model!r} cannot be trained here; `myna train nano` can.")
    # It loads torch.
    from myna.train import recipe  # noqa: PLC0415

    if stage is not None:
        recipe.run(stage, minutes=minutes, report=note, processes=processes, threads=threads)
        return
    states = {item.name: recipe.state(item.name) for item in recipe.STAGES}
    if json:
        answer_json({"stages": states})
        return
    rows = [("stage", "steps", "hours", "purpose")]
    for item in recipe.STAGES:
        found = states[item.name]
        steps = str(found.steps) if found.steps else "-"
        rows.append((item.name, steps, f"{found.hours:.1f}" if found.steps else "-", item.purpose))
    answer(table(rows))
