"""`myna check`."""

from __future__ import annotations

import asyncio
import platform
from typing import TYPE_CHECKING, Annotated

import typer

import myna
from myna.cli.compose import choose, load_model_here
from myna.cli.console import answer, answer_json, progress_bars
from myna.cli.options import Dtype, DtypeOption, JsonOption, KeepPackedOption
from myna.core.settings import read_settings

if TYPE_CHECKING:
    from myna.pipeline.findings import Finding
    from myna.pipeline.load import LoadedModel

EXIT_FAILED = 1


def command(
    model: Annotated[
        str | None, typer.Argument(help="A name of `myna list`, a folder or a GGUF file.")
    ] = None,
    dtype: DtypeOption = Dtype.AUTO,
    keep_packed: KeepPackedOption = None,
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
        is_echo=False,
    )
    with progress_bars() as progress:
        loaded = load_model_here(choice, progress)
    findings = asyncio.run(_check(loaded, is_shown=not json))
    passed = all(finding.passed for finding in findings)
    line = _line_to_report(loaded, findings, dtype=dtype, passed=passed)
    if json:
        answer_json({"passed": passed, "findings": findings, "report": line})
    else:
        answer(f"\n{line}")
    if not passed:
        raise typer.Exit(EXIT_FAILED)


async def _check(loaded: LoadedModel, *, is_shown: bool) -> list[Finding]:
    """Run every check, showing each as it ends."""
    # These load torch, which the model has loaded by now.
    from myna.pipeline.check import check_model  # noqa: PLC0415
    from myna.pipeline.service import LocalService  # noqa: PLC0415

    service = LocalService(loaded)
    findings = []
    try:
        async for finding in check_model(loaded, service):
            findings.append(finding)
            if is_shown:
                answer(f"{'pass' if finding.passed else 'FAIL'}  {finding.name}: {finding.detail}")
    finally:
        await service.close()
    return findings


def _line_to_report(
    loaded: LoadedModel, findings: list[Finding], *, dtype: str, passed: bool
) -> str:
    """Write one line that says what was checked where, for a report to the makers."""
    card = loaded.card
    return (
        f"{'pass' if passed else 'FAIL'}: model={card.id} family={card.family} "
        f"quantization={card.quantization or 'none'} dtype={dtype} myna={myna.__version__} "
        f"python={platform.python_version()} machine={platform.machine()} "
        f"passed={sum(each.passed for each in findings)}/{len(findings)}"
    )
