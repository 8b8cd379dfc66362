import pytest

from fake_voice import Hummer, quickly, silent
from myna.train.stages import speech_data
from myna.train.voice import shards
from myna.train.workshop import folder


def test_the_number_of_a_shard_decides_what_is_said() -> None:
    one, other = (list(speech_data.spoken(Hummer(), 3, num=5)) for _ in range(2))
    assert [text for text, _ in one] == [text for text, _ in other]
    assert [text for text, _ in one] != [t for t, _ in speech_data.spoken(Hummer(), 4, num=5)]


def test_shards_that_are_there_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    lines: list[str] = []
    speech_data.run(minutes=None, report=lines.append)
    assert [line.split("  ")[0] for line in lines] == ["shard 1/2", "shard 2/2"]
    assert [len(shards.read(path)) for path in shards.shard_folders(folder("speech"))] == [8, 8]
    speech_data.run(minutes=None, report=lines.append)
    assert len(lines) == 2


def test_no_shard_is_begun_after_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    speech_data.run(minutes=0, report=silent)
    assert not list(folder("speech").iterdir())
