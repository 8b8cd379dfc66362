import pytest
import torch

from fake_voice import quickly, silent
from myna.train.shapes import NUM_CODEBOOKS
from myna.train.stages import codec, speech_data


def test_every_frame_of_speech_gets_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    speech_data.run(minutes=None, report=silent)
    lines: list[str] = []
    codec.run(minutes=None, report=lines.append)
    assert lines[-2:] == ["codes of shard 000", "codes of shard 001"]
    shards, codes = codec.coded_shards()
    assert [found.shape for found in codes] == [(s.num_frames, NUM_CODEBOOKS) for s in shards]
    lines.clear()
    codec.run(minutes=None, report=lines.append)  # trained and written: it only measures
    assert len(lines) == 1
    assert lines[0].startswith("mel 1: ")


def test_a_codec_that_is_not_there_says_what_to_run() -> None:
    with pytest.raises(FileNotFoundError, match="run the stage 'codec' first"):
        codec.trained_codec()


def test_speech_without_codes_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    speech_data.run(minutes=None, report=silent)
    with pytest.raises(FileNotFoundError, match="run the stage 'codec' first"):
        codec.coded_shards()


def test_utterances_of_other_lengths_change_no_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    speech_data.run(minutes=None, report=silent)
    codec.run(minutes=None, report=silent)
    shards, codes = codec.coded_shards()
    start, stop = shards[0].span(3)
    wave = torch.from_numpy(shards[0].wave(start, stop))[None]
    alone = codec.trained_codec().codes(wave)[0].T
    assert codes[0][start:stop].tolist() == alone.tolist()
