"""The command line as a client of a live server: media go in, sound comes out."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import pytest

from myna.cli.main import run
from myna.core.echo import beep

PNG = b"\x89PNG\r\n\x1a\nrest"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYNA_HOME", str(tmp_path))


def samples_of(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        assert file.getframerate() == 24_000
        return file.readframes(file.getnframes())


def test_run_sends_files_and_writes_what_is_spoken(
    live: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, sound, clip = (tmp_path / name for name in ("a.png", "b.wav", "c.mp4"))
    picture.write_bytes(PNG)
    sound.write_bytes(b"RIFF\0\0\0\0WAVE")
    clip.write_bytes(b"\0\0\0\x18ftypisom")
    out = tmp_path / "out.wav"
    files = [word for path in (picture, sound, clip) for word in ("-a", str(path))]
    argv = ["run", "--url", live.url, "a b", *files, "--listen", "--speak", str(out)]
    assert run([*argv, "--voice", "aiden"]) == 0
    text = "image 12 bytes\naudio 12 bytes\nvideo 12 bytes with sound\na b\n"
    assert capsys.readouterr().out == text
    assert samples_of(out).endswith(beep("a ") + beep("b"))


def test_say_speaks_through_a_server(live: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    assert run(["say", "--url", live.url, "a b", "-o", str(out)]) == 0
    assert samples_of(out) == beep("a ") + beep("b")


def test_the_server_says_which_voices_there_are(
    live: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["say", "--url", live.url, "a b", "-o", str(tmp_path / "out.wav"), "--voice", "nobody"]
    assert run(argv) == 2
    assert "its voices are ethan, chelsie, aiden" in capsys.readouterr().err
