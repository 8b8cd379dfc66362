"""Where training keeps what it makes: data, checkpoints, curves. Nothing of it belongs in git."""

from __future__ import annotations

from pathlib import Path

from myna.core.settings import read_settings


def folder(name: str = "") -> Path:
    """Give a folder of the workshop, made if it is not there.

    Args:
        name: of a data set or a stage, such as "ears"; empty for the whole workshop.
    """
    path = read_settings().home / "train" / "nano" / name
    path.mkdir(parents=True, exist_ok=True)
    return path
