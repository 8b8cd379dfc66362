"""`myna quantize`."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myna.cli.console import answer, answer_json, progress_bars, size_text, table
from myna.cli.options import JsonOption
from myna.core.settings import read_settings
from myna.hub.cache import find

if TYPE_CHECKING:
    from myna.weights.quantize.folder import QuantizeReport


class Bits(StrEnum):
    """Bits of most weights."""

    FOUR = "4"
    EIGHT = "8"


def command(
    model: Annotated[str, typer.Argument(help="A name of `myna list` or a folder.")],
    target: Annotated[
        Path, typer.Argument(help="The folder to write; nothing may be there.", metavar="OUT")
    ],
    bits: Annotated[
        Bits, typer.Option(help="Of most weights; the sensitive ones get more.")
    ] = Bits.FOUR,
    json: JsonOption = False,
) -> None:
    """Write a model anew in fewer bits: a smaller folder that loads like any other."""
    path = find(model, read_settings().models_dir)
    report = _quantize(path, target.expanduser(), bits)
    if json:
        answer_json({"path": str(target), **dataclasses.asdict(report)})
    else:
        _show(report)


def _quantize(path: Path, target: Path, bits: Bits) -> QuantizeReport:
    # Loads torch.
    from myna.pipeline.edit import is_edit_folder  # noqa: PLC0415
    from myna.pipeline.edit_parts import open_edit_files  # noqa: PLC0415 -- as above
    from myna.pipeline.load import blueprint_of  # noqa: PLC0415 -- as above
    from myna.weights.open import open_checkpoint  # noqa: PLC0415 -- as above
    from myna.weights.quantize.folder import quantize_folder  # noqa: PLC0415 -- as above
    from myna.weights.quantize.pipeline import quantize_pipeline  # noqa: PLC0415 -- as above

    # What could not be loaded afterwards is refused.
    if is_edit_folder(path):
        open_edit_files(path)
        quantize = quantize_pipeline
    else:
        blueprint_of(path, open_checkpoint(path))
        quantize = quantize_folder
    with progress_bars() as progress:
        return quantize(path, target, bits=4 if bits is Bits.FOUR else 8, progress=progress)


def _show(report: QuantizeReport) -> None:
    rows = [("before", size_text(report.bytes_before)), ("after", size_text(report.bytes_after))]
    for kind, count in sorted(report.num_tensors.items()):
        error = report.error.get(kind)
        suffix = "kept as they are" if error is None else f"rounded, {error:.2%} off (rms)"
        rows.append((kind, f"{count} tensors, {suffix}"))
    answer(table(rows))
