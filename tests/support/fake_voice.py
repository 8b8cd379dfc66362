"""A teacher that hums, and training that is over at once: for tests of the stages of the voice."""

from __future__ import annotations

import numpy as np
import pytest

from myna.train.loop import Schedule
from myna.train.stages import code2wav, codec, speech_data, talker
from myna.train.voice.teacher import RATE_HZ, SLOT_SAMPLES, Speech

ONE_STEP = Schedule(steps=1, rate=1e-3, warmup=1)


class Hummer:
    """Hum a tone for each word; satisfies `Teacher`."""

    def say(self, text: str, *, seed: int) -> Speech:
        """See `Teacher`."""
        num_slots = 8 + 4 * len(text.split())
        hz = 100 + seed % 100
        samples = 0.1 * np.sin(2 * np.pi * hz * np.arange(num_slots * SLOT_SAMPLES) / RATE_HZ)
        return Speech(samples.astype(np.float32), np.full(num_slots, len(text) % 100, np.uint8))


def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stages do next to nothing."""
    monkeypatch.setattr(speech_data, "Hibari", Hummer)
    monkeypatch.setattr(speech_data, "NUM_SHARDS", 2)
    monkeypatch.setattr(speech_data, "SHARD_UTTERANCES", 8)
    for stage, frames in ((codec, 6), (code2wav, 4)):
        monkeypatch.setattr(stage, "BATCH", 2)
        monkeypatch.setattr(stage, "CUT_FRAMES", frames)
    monkeypatch.setattr(code2wav, "LONG_BATCH", 2)
    monkeypatch.setattr(code2wav, "LONG_FRAMES", 4)
    monkeypatch.setattr(codec, "KMEANS_BATCHES", 30)
    monkeypatch.setattr(codec, "PLAIN", ONE_STEP)
    monkeypatch.setattr(codec, "CODED", ONE_STEP)
    monkeypatch.setattr(code2wav, "SCHEDULE", ONE_STEP)
    monkeypatch.setattr(talker, "SCHEDULE", ONE_STEP)
    monkeypatch.setattr(talker, "BATCH", 2)


def silent(line: str) -> None:
    """Take a line of progress and drop it."""
