"""The model in the box: files that come with the package, and nothing else.

`folder()` holds a checkpoint in the released form; `README.md` there is its model card. Beside it
lies what `myna tour` shows. `make box` writes all of it; a copy of the package may be without.
"""

from __future__ import annotations

from pathlib import Path

NAME = "nano"
LICENCE = "Apache-2.0"


def folder() -> Path | None:
    """Give the model's folder; None in a copy of the package that was built without it."""
    place = Path(__file__).with_name(NAME)
    return place if (place / "config.json").is_file() else None
