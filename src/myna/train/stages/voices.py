"""Stage: synthetic voices say what ears learn from; the pools are kept on disk."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from myna.train.language import sentences
from myna.train.sound import pool, sayings
from myna.train.sound.distort import distorted
from myna.train.sound.utterance import NotSpoken, Utterance
from myna.train.sound.voices import say

SEED = 20_260_101
SHARD_S = 1800.0  # of sound
MAX_S = 8.0
Saying = Callable[[random.Random], str]


@dataclass(frozen=True)
class Recipe:
    """Say what a pool holds.

    Attributes:
        saying: draws what is said.
        hours: of sound.
    """

    saying: Saying
    hours: float


RECIPES = {
    "loose": Recipe(sayings.loose, 4.0),
    "questions": Recipe(sayings.question, 3.0),
    "sentences": Recipe(sentences.make, 8.0),
}


def run(*, minutes: float | None, report: Callable[[str], None]) -> None:
    """Make what is missing of all pools, a shard of each in turn.

    Args:
        minutes: begin no shard after so long.
        report: takes lines of progress.
    """
    started = time.monotonic()
    for i in range(max(num_shards(recipe) for recipe in RECIPES.values())):
        for name, recipe in RECIPES.items():
            if minutes is not None and time.monotonic() - started > 60 * minutes:
                return
            if i < num_shards(recipe):
                fill(name, recipe, shard=i, report=report)


def num_shards(recipe: Recipe) -> int:
    """Count the shards of a pool."""
    return max(1, round(recipe.hours * 3600 / SHARD_S))


def spoken(saying: Saying, rng: random.Random, *, seconds: float) -> Iterator[Utterance]:
    """Let voices say things until so many seconds are full."""
    while seconds > 0:
        text = saying(rng)
        try:
            said = say(text, rng)
        except NotSpoken:
            continue  # no synthesizer reads this text word by word
        if said.seconds > MAX_S or not said.words:
            continue
        seconds -= said.seconds
        yield replace(said, samples=distorted(said.samples, rng))


def fill(name: str, recipe: Recipe, *, shard: int, report: Callable[[str], None]) -> None:
    """Make one shard of a pool, if it is not there.

    Args:
        name: of the pool.
        recipe: of the pool.
        shard: its number.
        report: takes a line when it is done.
    """
    folder = pool.folder(name)
    if (folder / f"{shard:03}.shard").exists():
        return
    started = time.monotonic()
    rng = random.Random(f"{SEED} {name} {shard}")
    seconds = min(SHARD_S, recipe.hours * 3600)
    said = spoken(recipe.saying, rng, seconds=seconds)
    pool.write_shard(folder, f"{shard:03}", said)
    took = time.monotonic() - started
    report(
        f"pool {name} shard {shard + 1}/{num_shards(recipe)}  {seconds / took:.0f} times real time"
    )
