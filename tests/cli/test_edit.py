"""`myna edit`: answered by the echo, and by a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edit_pictures import file_of, mask_of, noise, pixels_of
from myna.models.tiny_image_edit import write_tiny_image_edit

PNG = file_of(noise(60, 40))


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "in.png"
    path.write_bytes(PNG)
    return str(path)


def test_the_echo_gives_the_first_picture_back(myna: Any, picture: str, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    code, told, _ = myna("edit", "--echo", picture, picture, "make it red", "-o", str(out))
    assert (code, told) == (0, f"{out}\n")
    assert out.read_bytes() == PNG


def test_several_pictures_are_numbered(myna: Any, picture: str, tmp_path: Path) -> None:
    out = tmp_path / "out.webp"
    code, told, _ = myna("edit", "--echo", picture, "x", "-o", str(out), "-n", "2")
    names = [tmp_path / f"out-{number}.webp" for number in (1, 2)]
    assert (code, told.split()) == (0, [str(name) for name in names])
    assert all(name.read_bytes() == PNG for name in names)


def test_a_tiny_model_edits_within_a_mask(myna: Any, picture: str, tmp_path: Path) -> None:
    model = write_tiny_image_edit(tmp_path / "model")
    mask, out = tmp_path / "mask.png", tmp_path / "out.png"
    mask.write_bytes(file_of(mask_of(60, 40, (20, 10, 40, 30))))
    argv = ["edit", picture, "make it red", "-m", str(mask), "-o", str(out), "--model", str(model)]
    code, _, err = myna(*argv, "--megapixels", "0.01", "--steps", "2", "--seed", "1")
    assert code == 0, err
    found, original = pixels_of(out.read_bytes()), pixels_of(PNG)
    assert (found[:10] == original[:10]).all()
    assert (found[10:30, 20:40] != original[10:30, 20:40]).any()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-o", "out.txt"], "does not end in .png"),
        (["-o", "nowhere/out.png"], "there is no such folder"),
        (["-o", "out.png", "--size", "large"], "'large' is no size"),
        (["-o", "out.png", "-m", __file__], "is no picture"),
    ],
)
def test_wrong_wishes_are_refused(
    myna: Any, picture: str, tmp_path: Path, monkeypatch, argv: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = myna("edit", "--echo", picture, "x", *argv)
    assert code == 2
    assert message in err


def test_a_failed_edit_says_why(myna: Any, picture: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out.png")
    code, _, err = myna("edit", "--echo", picture, "/refuse busy", "-o", out)
    assert (code, "busy" in err) == (1, True)
    model = str(write_tiny_image_edit(tmp_path / "model"))
    code, _, err = myna("edit", picture, "x", "-o", out, "--model", model, "--steps", "0")
    assert (code, "give 1 to 200" in err) == (2, True)


def test_a_quantized_model_edits(myna: Any, picture: str, tmp_path: Path) -> None:
    model, small = write_tiny_image_edit(tmp_path / "model"), tmp_path / "small"
    code, _, err = myna("quantize", str(model), str(small))
    assert code == 0, err
    out = tmp_path / "out.png"
    argv = ["edit", picture, "x", "-o", str(out), "--model", str(small), "--steps", "1"]
    code, _, err = myna(*argv, "--megapixels", "0.01", "--memory", "100kB")
    assert code == 0, err
    assert pixels_of(out.read_bytes()).shape == (40, 60, 3)


def test_reused_steps_are_told(myna: Any, picture: str, tmp_path: Path) -> None:
    model = str(write_tiny_image_edit(tmp_path / "model"))
    argv = ["edit", picture, "x", "-o", str(tmp_path / "out.png"), "--model", model]
    argv += ["--megapixels", "0.01", "--steps", "4", "--guidance", "1", "--step-cache"]
    code, _, err = myna(*argv, "1")
    assert code == 0, err
    assert "reused 2 of 4 steps: changes of up to 0." in err
    code, _, err = myna(*argv, "2")
    assert (code, "`step_cache` is 2; give 0 to 1" in err) == (2, True)
