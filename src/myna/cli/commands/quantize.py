"""`myna quantize`."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from myna.cli.console import answer, answer_json, progress_bars, size_text, table
from myna.cli.options import JsonOption
from myna.core.settings import read_settings
from myna.hub.cache import find

if TYPE_CHECKING:
    from myna.pipeline.rounding import Damage
    from myna.weights.quantize.job import QuantizeReport


class Bits(StrEnum):
    """Bits of most weights."""

    FOUR = "4"
    SIX = "6"
    EIGHT = "8"

    @property
    def number(self) -> Literal[4, 6, 8]:
        """Give the number."""
        numbers: dict[Bits, Literal[4, 6, 8]] = {self.FOUR: 4, self.SIX: 6, self.EIGHT: 8}
        return numbers[self]


class PredictorBits(StrEnum):
    """Bits of the code predictor; 16 keeps it as it is."""

    FOUR = "4"
    SIX = "6"
    EIGHT = "8"
    SIXTEEN = "16"

    @property
    def number(self) -> Literal[4, 6, 8, 16]:
        """Give the number."""
        numbers: dict[PredictorBits, Literal[4, 6, 8, 16]]
        numbers = {self.FOUR: 4, self.SIX: 6, self.EIGHT: 8, self.SIXTEEN: 16}
        return numbers[self]


TextFile = Annotated[
    Path | None,
    typer.Option(
        help="A typical text: what it uses more is rounded better; the longer, the better.",
        exists=True,
    ),
]


def command(
    model: Annotated[
        str,
        typer.Argument(
            help="A name of `myna list`, a folder (as released, of GPTQ or AWQ) or a GGUF file."
        ),
    ],
    target: Annotated[
        Path, typer.Argument(help="The folder to write; nothing may be there.", metavar="OUT")
    ],
    bits: Annotated[
        Bits, typer.Option(help="Of most weights; the sensitive ones get more.")
    ] = Bits.FOUR,
    table_bits: Annotated[
        Bits, typer.Option(help="Of embeddings and heads: in a small model, a large part.")
    ] = Bits.EIGHT,
    predictor_bits: Annotated[
        PredictorBits,
        typer.Option(help="Of what fills in the codes of speech: fewer are faster, 16 keeps it."),
    ] = PredictorBits.EIGHT,
    calibrate: TextFile = None,
    report: Annotated[
        Path | None,
        typer.Option(help="A text: tell perplexity and divergence before and after.", exists=True),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a model anew in fewer bits: a smaller folder that loads like any other."""
    path, target = find(model, read_settings().models_dir), target.expanduser()
    found = _quantize(path, target, bits, table_bits, predictor_bits, calibrate)
    harm = None if report is None else _damage(path, target, report)
    if json:
        told = {} if harm is None else dataclasses.asdict(harm)
        answer_json({"path": str(target), **dataclasses.asdict(found), **told})
    else:
        _show(found, harm)


def _damage(exact: Path, rounded: Path, text: Path) -> Damage:
    from myna.pipeline.rounding import damage  # noqa: PLC0415 -- loads torch
    from myna.weights.quantize.folder import note_quality  # noqa: PLC0415 -- as above

    found = damage(exact, rounded, text.read_text(encoding="utf-8"))
    note_quality(rounded, dataclasses.asdict(found))
    return found


def _quantize(
    path: Path,
    target: Path,
    bits: Bits,
    table_bits: Bits,
    predictor_bits: PredictorBits,
    text: Path | None,
) -> QuantizeReport:
    # Loads torch.
    from myna.pipeline.edit import is_edit_folder  # noqa: PLC0415
    from myna.pipeline.edit_parts import open_edit_files  # noqa: PLC0415 -- as above
    from myna.pipeline.load import blueprint_of  # noqa: PLC0415 -- as above
    from myna.weights.open import open_checkpoint  # noqa: PLC0415 -- as above
    from myna.weights.quantize.folder import quantize_folder  # noqa: PLC0415 -- as above
    from myna.weights.quantize.pipeline import quantize_pipeline  # noqa: PLC0415 -- as above
    from myna.weights.quantize.scheme import with_predictor  # noqa: PLC0415 -- as above

    # What could not be loaded afterwards is refused.
    if is_edit_folder(path):
        open_edit_files(path)
        with progress_bars() as progress:
            return quantize_pipeline(path, target, bits=bits.number, progress=progress)
    blueprint_of(path, open_checkpoint(path))
    columns = None
    if text is not None:
        from myna.pipeline.rounding import measure_columns  # noqa: PLC0415 -- as above

        columns = measure_columns(path, text.read_text(encoding="utf-8"))
    with progress_bars() as progress:
        return quantize_folder(
            path,
            target,
            bits=bits.number,
            table_bits=table_bits.number,
            importance=None if columns is None else columns.importance,
            moments=None if columns is None else columns.moments,
            exempt=with_predictor(predictor_bits.number),
            progress=progress,
        )


def _loss_text(error: float) -> str:
    return f"rounded, {error:.2%} off (rms)" if error else "exact"


def _show(report: QuantizeReport, harm: Damage | None) -> None:
    rows = [("before", size_text(report.bytes_before)), ("after", size_text(report.bytes_after))]
    for kind, count in sorted(report.num_tensors.items()):
        error = report.error.get(kind)
        suffix = "kept as they are" if error is None else _loss_text(error)
        rows.append((kind, f"{count} tensors, {suffix}"))
    if harm is not None:
        change = f"{harm.perplexity_before:.3f} before, {harm.perplexity_after:.3f} after"
        rows.append(("perplexity", f"{change}, of {harm.num_tokens} tokens"))
        rows.append(("divergence", f"{harm.divergence:.4f} nats a token"))
    answer(table(rows))
