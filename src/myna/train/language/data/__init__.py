"""Lists of words and sentences, one a line."""

from __future__ import annotations

from importlib import resources


def lines(name: str) -> tuple[str, ...]:
    """Read a list, such as "strange_words"."""
    return tuple((resources.files(__name__) / f"{name}.txt").read_text("utf-8").splitlines())
