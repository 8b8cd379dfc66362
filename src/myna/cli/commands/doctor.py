"""`myna doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from myna.cli.console import answer, answer_json, table
from myna.cli.examination import examine
from myna.cli.options import JsonOption
from myna.core.settings import read_settings

EXIT_FAILED = 1


def command(
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if anything could be better.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Look at this machine: processor, memory, disk, kernels; and say what would help."""
    findings = examine(read_settings())
    if json:
        answer_json(findings)
    else:
        answer(table((finding.mark, finding.what, finding.found) for finding in findings))
        for finding in findings:
            if finding.hint is not None:
                answer(f"hint: {finding.what}: {finding.hint}")
    marks = {finding.mark for finding in findings}
    if "fail" in marks or (strict and "poor" in marks):
        raise typer.Exit(EXIT_FAILED)
