"""Pools are filled from seeds, shard by shard."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from myna.train.sound.pool import open_pool
from myna.train.sound.utterance import RATE_HZ, NotSpoken, Span, Utterance
from myna.train.stages import voices


def fake(text: str, rng: random.Random) -> Utterance:
    """Speak for a second, unless the text cannot be read."""
    if text == "?":
        raise NotSpoken("not this")
    words = (Span(text, 0.1, 0.9),)
    return Utterance(text, np.full(RATE_HZ, rng.random(), np.float32), words, words, "fake")


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(voices, "say", fake)
    monkeypatch.setattr(voices, "SHARD_S", 5.0)
    return


def recipe() -> voices.Recipe:
    return voices.Recipe(lambda rng: rng.choice(("cat", "dog", "?")), hours=10 / 3600)


def test_a_pool_is_filled_to_its_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "RECIPES", {"small": recipe()})
    lines: list[str] = []
    voices.run(minutes=None, report=lines.append)
    pool = open_pool("small")
    assert pool.hours * 3600 == pytest.approx(10)
    assert {pool[i].text for i in range(len(pool))} == {"cat", "dog"}
    assert [line.split("  ")[0] for line in lines] == [
        "pool small shard 1/2",
        "pool small shard 2/2",
    ]
    lines.clear()
    voices.run(minutes=None, report=lines.append)
    assert not lines


def test_no_shard_begins_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "RECIPES", {"small": recipe()})
    voices.run(minutes=-1.0, report=lambda line: None)
    with pytest.raises(FileNotFoundError, match="run the stage 'voices' first"):
        open_pool("small")
