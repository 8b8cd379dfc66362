"""`myna fit`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from myna.cli.console import answer, answer_json, note, size_text, table
from myna.cli.options import Dtype, DtypeOption, JsonOption
from myna.core.settings import Settings, read_settings
from myna.hub.cache import look_up
from myna.hub.catalogue import entry_of
from myna.hub.preview import preview

if TYPE_CHECKING:
    from myna.pipeline.fit import Fit

EXIT_FAILED = 1
DEFAULT_CONTEXT = 8192


def command(
    model: Annotated[
        str | None, typer.Argument(help="A name of `myna list`, a folder or a GGUF file.")
    ] = None,
    context: Annotated[
        int, typer.Option(min=1, help="Tokens of the conversation to leave room for.")
    ] = DEFAULT_CONTEXT,
    dtype: DtypeOption = Dtype.AUTO,
    measure: Annotated[
        bool,
        typer.Option("--measure/--no-measure", help="Time a few layers to foretell the speed."),
    ] = True,
    json: JsonOption = False,
) -> None:
    """Tell whether a model will run on this machine, and how fast, before it is fetched.

    The exit code is 0 if it fits and 1 if it does not.
    """
    settings = read_settings()
    name = model or settings.default_model
    fit = _predict(name, settings, dtype=dtype, context=context, is_measured=measure)
    if json:
        answer_json(
            {
                "model": name,
                **dataclasses.asdict(fit),
                "peak_bytes": fit.peak_bytes,
                "fits": fit.fits,
            }
        )
    else:
        _show(fit)
    if not fit.fits:
        raise typer.Exit(EXIT_FAILED)


def _predict(name: str, settings: Settings, *, dtype: str, context: int, is_measured: bool) -> Fit:
    """Look at the model's headers if it is here, else at its configuration at the hub."""
    # Loads torch, on which the speed is measured.
    from myna.pipeline import fit  # noqa: PLC0415

    here = look_up(name, settings.models_dir)
    if here is not None:
        return fit.predict_path(here.path, dtype=dtype, context=context, is_measured=is_measured)
    import torch  # noqa: PLC0415 -- as above

    from myna.models.registry import blueprint_for_folder  # noqa: PLC0415 -- as above

    entry = entry_of(name)
    seen = preview(entry, settings)
    return fit.predict(
        blueprint_for_folder(seen.config, seen.tensor_names),
        dtype=None if dtype == "auto" else getattr(torch, dtype),
        context=context,
        is_measured=is_measured,
    )


def _show(fit: Fit) -> None:
    rows = [
        ("weights", size_text(fit.weight_bytes)),
        (f"memory of {fit.context} tokens", size_text(fit.kv_bytes)),
        ("program and room to work", size_text(fit.other_bytes)),
        ("in all, at most", size_text(fit.peak_bytes)),
        ("free here", size_text(fit.free_bytes)),
    ]
    if fit.tokens_per_s is not None:
        rows.append(("speed of an answer", f"about {fit.tokens_per_s:.3g} tokens/s"))
    answer(table(rows))
    answer("it fits" if fit.fits else "it does not fit")
    if not fit.fits:
        note("hint: a smaller or quantized model, a shorter --context, or closing other programs")
