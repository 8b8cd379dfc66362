"""The tour needs no hands: it shows, asks, prints, saves and times."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from myna import embedded
from myna.cli.blocks import draw, show_file
from myna.cli.main import run
from myna.media.encode import wav_header
from myna.models.tiny_omni import write_tiny_omni


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a tiny model into the box, with a tour of two stops."""
    model = write_tiny_omni(tmp_path / "box" / "nano")
    tour = tmp_path / "box" / "tour"
    tour.mkdir()
    Image.new("RGB", (64, 64), (255, 0, 0)).save(tour / "red.png")
    (tour / "ask.wav").write_bytes(wav_header(rate_hz=16_000, num_samples=1600) + bytes(3200))
    stops = [
        {
            "title": "It sees",
            "files": ["red.png", "ask.wav"],
            "shown": "red.png",
            "is_spoken": True,
        },
        {"title": "It reads", "text": "what is two plus two"},
    ]
    (tour / "tour.json").write_text(json.dumps(stops))
    monkeypatch.setattr(embedded, "folder", lambda: model)
    monkeypatch.setenv("MYNA_HOME", str(tmp_path / "home"))
    return tour


def test_every_stop_is_shown_answered_and_timed(
    box: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sounds"
    assert run(["tour", "--model", "nano", "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert "== It sees" in text
    assert "> what is two plus two" in text
    assert "first sound" in text
    assert "nano was loaded in" in text
    assert not (out / "2.wav").exists()
    assert box.is_dir()


def test_a_package_without_the_box_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(embedded, "folder", lambda: None)
    assert run(["tour"]) == 3
    assert "built without the model in the box" in capsys.readouterr().err


def test_two_pixels_become_one_character(tmp_path: Path) -> None:
    pixels = np.array([[[1, 2, 3]], [[4, 5, 6]], [[7, 8, 9]]], np.uint8)
    assert draw(pixels) == "\033[38;2;1;2;3;48;2;4;5;6m▀\033[0m"
    path = tmp_path / "a.png"
    Image.new("RGBA", (20, 10), (0, 0, 0, 0)).save(path)
    lines = show_file(path, columns=8).split("\n")
    assert len(lines) == 2
    assert lines[0].count("▀") == 8
    assert "255;255;255" in lines[0]
