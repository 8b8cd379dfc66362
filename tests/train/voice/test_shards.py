from pathlib import Path

import numpy as np
import pytest

from myna.train.shapes import FRAME_SAMPLES
from myna.train.voice import shards
from myna.train.voice.teacher import SLOT_SAMPLES, Speech


def speech(num_slots: int, phoneme: int) -> Speech:
    samples = np.full(num_slots * SLOT_SAMPLES, phoneme / 100, np.float32)
    return Speech(samples, np.full(num_slots, phoneme, np.uint8))


@pytest.fixture
def shard(tmp_path: Path) -> shards.Shard:
    shards.write(tmp_path / "000", [("one", speech(9, 10)), ("two", speech(8, 20))])
    return shards.read(tmp_path / "000")


def test_what_was_written_is_read(shard: shards.Shard) -> None:
    assert list(shard.texts) == ["one", "two"]
    assert [shard.span(i) for i in range(len(shard))] == [(0, 3), (3, 5)]
    assert shard.num_frames == 5
    np.testing.assert_allclose(shard.wave(3, 5), 0.2, atol=1e-4)
    assert shard.phonemes[2].tolist() == [10, 0, 0, 0]  # the last frame is filled up


def test_shards_are_listed_in_order_without_unfinished_ones(tmp_path: Path) -> None:
    for name in ("001", "000", "002.part"):
        (tmp_path / name).mkdir()
    assert [path.name for path in shards.shard_folders(tmp_path)] == ["000", "001"]


def test_an_empty_folder_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the stage 'speech_data' first"):
        shards.shard_folders(tmp_path)


def test_draws_depend_on_their_generator_alone(shard: shards.Shard) -> None:
    cuts = shards.Cuts([shard], [shard.phonemes], num_frames=2)
    one, other = (cuts.draw(4, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    assert one[0].shape == (4, 2 * FRAME_SAMPLES)
    assert one[1].shape == (4, 2, shards.SLOTS)
