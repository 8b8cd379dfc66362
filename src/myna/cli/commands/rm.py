"""`myna rm`."""

from __future__ import annotations

from typing import Annotated

import typer

from myna.cli.console import note, size_text
from myna.core.settings import read_settings
from myna.hub.cache import remove


def command(
    model: Annotated[str, typer.Argument(help="A model of `myna list --here`.")],
) -> None:
    """Delete a model, or what an interrupted download left of it, from this machine."""
    removed = remove(model, read_settings().models_dir)
    note(f"{removed.id} was deleted; {size_text(removed.num_bytes)} are free again")
