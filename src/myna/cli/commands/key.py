"""`myna key`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myna.cli.console import answer, note
from myna.cli.keys import add_key, make_key


def command(
    file: Annotated[
        Path | None, typer.Option(help="Add it to this file, for `myna serve --api-key-file`.")
    ] = None,
) -> None:
    """Make a key for clients of `myna serve`, and print it."""
    key = make_key()
    if file is not None:
        add_key(file, key)
        note(f"added to {file}; serve with: myna serve --api-key-file {file}")
    answer(key)
