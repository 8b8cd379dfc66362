"""`myna run` with files, `transcribe`, `say` and `caption`, answered by the echo."""

from __future__ import annotations

import io
import json
import sys
import wave
from pathlib import Path
from typing import Any

import pytest

from myna.core.echo import beep

PNG = b"\x89PNG\r\n\x1a\nrest"
WAV = b"RIFF\0\0\0\0WAVE"


@pytest.fixture
def png(tmp_path: Path) -> str:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    return str(path)


@pytest.fixture
def wav(tmp_path: Path) -> str:
    path = tmp_path / "b.wav"
    path.write_bytes(WAV)
    return str(path)


def samples_of(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        return file.readframes(file.getnframes())


def test_files_go_before_the_words(myna: Any, png: str, wav: str) -> None:
    code, out, _ = myna("run", "--echo", "what is it?", "-a", png, "--attach", wav)
    assert (code, out) == (0, "image 12 bytes\naudio 12 bytes\nwhat is it?\n")


def test_an_answer_is_spoken_into_a_file(myna: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    code, out, err = myna("run", "--echo", "a b", "--speak", str(path), "--voice", "Aiden")
    assert (code, out) == (0, "a b\n")
    assert err.endswith(f"0.2 s  {path}\n")
    assert samples_of(path) == beep("a ") + beep("b")


def test_wrong_wishes_are_refused_before_a_model_is_loaded(
    myna: Any, png: str, tmp_path: Path
) -> None:
    for argv, message in (
        (["x", "--voice", "aiden"], "--voice needs --speak"),
        (["x", "--raw", "-a", png], "--raw takes no --attach"),
        (["x", "--speak", "out.mp3"], "the ending .wav"),
        (["x", "--speak", str(tmp_path / "o.wav"), "--voice", "nobody"], "no voice 'nobody'"),
    ):
        code, _, err = myna("run", "--echo", *argv)
        assert code == 2
        assert message in err


def test_transcribe_asks_as_the_model_was_taught(myna: Any, wav: str) -> None:
    heard = "audio 12 bytes\nTranscribe the German audio into text. Context: Myna\n"
    argv = ["transcribe", "--echo", wav, "--language", "de", "--context", "Myna"]
    assert myna(*argv) == (0, heard, "")
    assert json.loads(myna(*argv, "--json")[1])["text"] == heard.strip()
    assert "in English text" in myna("transcribe", "--echo", wav, "--translate")[1]
    code, _, err = myna("transcribe", "--echo", wav, "--max-tokens", "2")
    assert (code, "cut at its length limit" in err) == (0, True)


def test_transcribe_takes_sound_alone(myna: Any, png: str) -> None:
    code, _, err = myna("transcribe", "--echo", png)
    assert code == 2
    assert "is no sound; `myna caption` describes pictures" in err


def test_caption_describes_any_file(myna: Any, png: str) -> None:
    assert myna("caption", "--echo", png)[1] == "image 12 bytes\nDescribe it in detail.\n"
    assert myna("caption", "--echo", png, "--prompt", "")[1] == "image 12 bytes\n\n"


def test_say_speaks_exactly_the_text(
    myna: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.wav"
    monkeypatch.setattr(sys, "stdin", io.StringIO("c d"))
    for argv, sound in ((["a b"], beep("a ") + beep("b")), ([], beep("c ") + beep("d"))):
        code, out, err = myna("say", "--echo", *argv, "-o", str(path), "--voice", "chelsie")
        assert (code, out) == (0, "")
        assert str(path) in err
        assert samples_of(path) == sound


def test_say_needs_words(myna: Any, tmp_path: Path) -> None:
    code, _, err = myna("say", "--echo", " ", "-o", str(tmp_path / "out.wav"))
    assert code == 2
    assert "there is nothing to say" in err
