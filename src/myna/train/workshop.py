"""Where training keeps what it makes: data, checkpoints, curves. Nothing of it belongs in git."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "MYNA_TRAIN_DIR"


def folder(name: str = "") -> Path:
    """Give a folder of the workshop, made if it is not there.

    Args:
        name: of a data set or a stage, such as "ears"; empty for the whole workshop.
    """
    default = Path.home() / ".cache" / "myna" / "train" / "nano"
    path = Path(os.environ.get(VARIABLE) or default) / name
    path.mkdir(parents=True, exist_ok=True)
    return path
