"""What is to be declined and is new to training: chat, facts, code, other languages."""

from __future__ import annotations

import random
from importlib import resources

from myna.train.examples import Example
from myna.train.language.style import DECLINE_START


def make(rng: random.Random) -> Example:
    """Type something that nano was not taught; the answer is how it must begin."""
    name = "foreign" if rng.random() < 0.35 else "open_chat"
    return Example("decline", (rng.choice(lines(name)),), DECLINE_START)


def lines(name: str) -> tuple[str, ...]:
    """Read a list, "open_chat" or "foreign"."""
    found = resources.files("myna.evals.heldout").joinpath(f"{name}.txt")
    return tuple(found.read_text("utf-8").splitlines())
