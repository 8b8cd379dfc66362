"""Spoken answers become files, and a line to look at."""

from __future__ import annotations

import array
import wave
from collections.abc import Generator
from pathlib import Path

import pytest

from myna.cli.sound import BARS, SoundFile, waveform
from myna.core.errors import InvalidRequest
from myna.core.events import AudioDelta, Event, TextDelta


def pcm_of(*samples: int) -> bytes:
    return array.array("h", samples).tobytes()


def test_a_waveform_is_as_high_as_its_loudest_samples() -> None:
    assert waveform(pcm_of(0, 0, 100, -50, -32768, 5), num_bars=3) == BARS[0] + BARS[0] + BARS[7]
    assert waveform(pcm_of(1, -2), num_bars=40) == BARS[4] + BARS[7]
    assert waveform(pcm_of(0, 0), num_bars=2) == BARS[0] * 2
    assert waveform(b"") == ""


def test_sound_is_passed_on_and_written(tmp_path: Path) -> None:
    def speak() -> Generator[Event]:
        yield TextDelta(index=0, text="hi")
        yield AudioDelta(index=0, pcm=pcm_of(*[1] * 12_000), rate_hz=24_000)

    path = tmp_path / "out.wav"
    sound = SoundFile(path)
    assert len(list(sound.listen(speak()))) == 2
    assert sound.write() == f"{BARS[7] * 40} 0.5 s  {path}"
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnframes()) == (24_000, 12_000)


@pytest.mark.parametrize(
    ("factor", "told"), [(None, ""), (0.9, ""), (1.31, "a second of speech took 1.3 s")]
)
def test_slow_speech_is_told(tmp_path: Path, factor: float | None, told: str) -> None:
    sound = SoundFile(tmp_path / "out.wav")
    event = AudioDelta(index=0, pcm=pcm_of(1), rate_hz=24_000, realtime_factor=factor)
    list(sound.listen(item for item in [event]))
    lines = sound.write().splitlines()
    assert lines[1:] == ([f"slower than it sounds: {told}"] if told else [])


def test_nothing_is_written_where_nothing_was_spoken(tmp_path: Path) -> None:
    sound = SoundFile(tmp_path / "out.wav")
    assert sound.write().startswith("nothing was spoken")
    assert not sound.path.exists()


def test_a_place_where_no_file_can_be_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"give .*out\.mp3 the ending \.wav"):
        SoundFile(tmp_path / "out.mp3")
    with pytest.raises(InvalidRequest, match="there is no such folder"):
        SoundFile(tmp_path / "nowhere" / "out.wav")
