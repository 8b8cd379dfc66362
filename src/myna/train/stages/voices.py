"""Stage: synthetic voices say what ears learn from; the pools are kept on disk."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from myna.train.sound import pool
from myna.train.sound.distort import distorted
from myna.train.sound.utterance import NotSpoken, Utterance
from myna.train.sound.voices import say

SEED = 20_260_101
SHARD_S = 1800.0  # of sound
MAX_S = 8.0
Saying = Callable[[random.Random], str]


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


def fill(
    name: str,
    saying: Saying,
    *,
    hours: float,
    report: Callable[[str], None],
    keep_sound: bool = False,
) -> None:
    """Bring a pool to so many hours; shards that are there are kept.

    Args:
        name: of the pool.
        saying: what is said.
        hours: of sound.
        report: takes a line for each shard.
        keep_sound: keep samples too.
    """
    folder = pool.folder(name)
    num_shards = max(1, round(hours * 3600 / SHARD_S))
    for i in range(num_shards):
        if (folder / f"{i:03}.shard").exists():
            continue
        started = time.monotonic()
        rng = random.Random(f"{SEED} {name} {i}")
        seconds = min(SHARD_S, hours * 3600)
        utterances = spoken(saying, rng, seconds=seconds)
        pool.write_shard(folder, f"{i:03}", utterances, keep_sound=keep_sound)
        took = time.monotonic() - started
        report(f"pool {name} shard {i + 1}/{num_shards}  {seconds / took:.0f} times real time")
