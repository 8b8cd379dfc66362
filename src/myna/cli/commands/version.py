"""`myna version`."""

from __future__ import annotations

import importlib.metadata
import platform

import myna
from myna.cli.console import answer, answer_json, table

FLAGS = {"json": "Answer in JSON."}


def command(*, json: bool) -> None:
    """Show the versions of Myna, Python and torch."""
    versions = {
        "myna": myna.__version__,
        "python": platform.python_version(),
        "torch": _installed_version("torch"),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    if json:
        answer_json(versions)
    else:
        answer(table((name, version or "not installed") for name, version in versions.items()))


def _installed_version(name: str) -> str | None:
    """Read a package's version without importing it."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
