"""`myna check`."""

from __future__ import annotations

import asyncio
import platform
from typing import Annotated

import typer

import myna
from myna.cli.checkup import Verdict, check_up
from myna.cli.compose import choose, load_here
from myna.cli.console import answer, answer_json, progress_bars, table
from myna.cli.options import (
    Dtype,
    DtypeOption,
    EchoOption,
    JsonOption,
    KeepPackedOption,
)
from myna.core.service import ModelCard, Service
from myna.core.settings import read_settings

EXIT_FAILED = 1


def command(
    model: Annotated[
        str | None, typer.Argument(help="A name of `myna list`, a folder or a GGUF file.")
    ] = None,
    dtype: DtypeOption = Dtype.AUTO,
    keep_packed: KeepPackedOption = None,
    echo: EchoOption = False,
    json: JsonOption = False,
) -> None:
    """Find out in two minutes, without a network, whether a model works as it should here."""
    settings = read_settings()
    choice = choose(
        model or settings.default_model,
        settings,
        dtype=dtype,
        max_context=None,
        keep_packed=keep_packed,
        kv_memory=None,
        yarn=None,
        is_echo=echo,
    )
    with progress_bars() as progress:
        service = load_here(choice, progress)
    card, verdicts = asyncio.run(_check(service))
    passed = all(verdict.passed for verdict in verdicts)
    line = _line_to_report(card, verdicts, dtype=dtype, passed=passed)
    if json:
        answer_json({"passed": passed, "verdicts": verdicts, "report": line})
    else:
        rows = [("pass" if each.passed else "FAIL", each.name, each.found) for each in verdicts]
        answer(f"{table(rows)}\n\n{line}")
    if not passed:
        raise typer.Exit(EXIT_FAILED)


async def _check(service: Service) -> tuple[ModelCard, tuple[Verdict, ...]]:
    try:
        (card,) = await service.models()
        return card, await check_up(service)
    finally:
        await service.close()


def _line_to_report(
    card: ModelCard, verdicts: tuple[Verdict, ...], *, dtype: str, passed: bool
) -> str:
    """Write one line that says what was checked where, for a report to the makers."""
    return (
        f"{'pass' if passed else 'FAIL'}: model={card.id} family={card.family} "
        f"quantization={card.quantization or 'none'} dtype={dtype} myna={myna.__version__} "
        f"python={platform.python_version()} machine={platform.machine()} "
        f"passed={sum(each.passed for each in verdicts)}/{len(verdicts)}"
    )
