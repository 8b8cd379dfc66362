"""Pools give back what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from myna.train.sound.pool import Pool, folder, frames_of, open_pool, write_shard
from myna.train.sound.utterance import RATE_HZ, Span, Utterance


def said(text: str, seconds: float) -> Utterance:
    samples = np.sin(np.arange(round(seconds * RATE_HZ)) / 5).astype(np.float32) / 2
    words = tuple(Span(word, 0.1 * i, 0.1 * i + 0.1) for i, word in enumerate(text.split()))
    return Utterance(text, samples, words, (Span("ah", 0.0, 0.5),), "someone")


def test_entries_come_back_whole(tmp_path: Path) -> None:
    write_shard(tmp_path, "000", [said("a cat", 1.0), said("one two three", 0.5)])
    write_shard(tmp_path, "001", [said("stop", 0.8)])
    pool = Pool(tmp_path)
    assert len(pool) == 3
    assert [pool[i].text for i in range(3)] == ["a cat", "one two three", "stop"]
    assert pool.lengths.tolist() == [100, 50, 80]
    middle = pool[1]
    assert [span.name for span in middle.words] == ["one", "two", "three"]
    assert middle.phones == (Span("ah", 0.0, 0.5),)
    assert middle.voice == "someone"
    assert (middle.mel == frames_of(said("one two three", 0.5).samples)).all()
    assert np.allclose(pool.speech, [[0.0, 0.2], [0.0, 0.3], [0.0, 0.1]])


def test_a_shard_is_replaced_whole(tmp_path: Path) -> None:
    write_shard(tmp_path, "000", [said("a cat", 1.0)])
    write_shard(tmp_path, "000", [said("stop", 1.0)])
    assert [path.name for path in tmp_path.iterdir()] == ["000.shard"]
    assert Pool(tmp_path)[0].text == "stop"


def test_an_entry_beyond_the_end_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path, "000", [said("stop", 1.0)])
    with pytest.raises(IndexError, match="entry 1 was asked for; the pool holds 1"):
        _ = Pool(tmp_path)[1]


def test_an_empty_pool_names_the_stage_that_fills_it() -> None:
    folder("nothing")
    with pytest.raises(FileNotFoundError, match="run the stage 'voices' first"):
        open_pool("nothing")
