"""Stage: let the teacher speak, for hours, and keep what it said."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from myna.train.voice import shards, text
from myna.train.voice.teacher import Hibari, Speech, Teacher
from myna.train.workshop import folder

NUM_SHARDS = 100
SHARD_UTTERANCES = 1_000
SEED = 11


def run(*, minutes: float | None, report: Callable[[str], None]) -> None:
    """Make the shards that are not there yet.

    Args:
        minutes: begin no further shard after so long.
        report: takes lines of progress.
    """
    started = time.monotonic()
    teacher = Hibari()
    for index in range(NUM_SHARDS):
        path = shard_folder(index)
        if path.exists():
            continue
        if minutes is not None and time.monotonic() - started > 60 * minutes:
            return
        shards.write(path, spoken(teacher, index, num=SHARD_UTTERANCES))
        report(f"shard {index + 1}/{NUM_SHARDS}  {shards.read(path).hours:.2f} hours")


def shard_folder(index: int) -> Path:
    """Name a shard's place."""
    return folder("speech") / f"{index:03d}"


def spoken(teacher: Teacher, index: int, *, num: int) -> Iterator[tuple[str, Speech]]:
    """Let the teacher say the texts of a shard, which its number alone decides."""
    rng = random.Random(SEED + index)
    for _ in range(num):
        words = text.utterance(rng)
        yield words, teacher.say(words, seed=rng.getrandbits(32))
