"""`myna stop`."""

from __future__ import annotations

from typing import Annotated

import typer

from myna.cli.console import note, size_text
from myna.cli.holdings import unload
from myna.cli.options import KeyOption, ServerOption
from myna.cli.remote_server import RemoteServer
from myna.core.settings import read_settings


def command(
    model: Annotated[str, typer.Argument(help="A model of `myna ps`.")],
    url: ServerOption = None,
    key: KeyOption = None,
) -> None:
    """Unload a model from a running server, which goes on; open answers of the model end."""
    freed = unload(RemoteServer.to(url, read_settings(), api_key=key), model)
    if freed.num_ended:
        note(f"open requests that ended: {freed.num_ended}")
    size = f"; {size_text(freed.num_bytes)} are free again" if freed.num_bytes else ""
    note(f"{freed.model} was unloaded{size}")
