"""The speed of a random model: written, measured, told, deleted."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from myna.models.tiny_image_edit import write_tiny_image_edit

COMMAND = ("speed.py", "--repeats", "1", "--threads", "1", "--random")


@pytest.fixture(autouse=True)
def _threads() -> Generator[None]:
    """Leave the number of threads as it was."""
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


def test_a_random_model_is_measured_and_deleted(
    script: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = tmp_path / "found.json"
    options = ["--layers", "1", "--scratch", str(tmp_path), "--json", str(found)]
    monkeypatch.setattr(sys, "argv", [*COMMAND, "smollm2-135m", *options])
    assert script("speed").main() == 0
    figure = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        r"smollm2-135m, 1 of 30 layers, the others left out, random weights: "
        r"prefill +[\d.]+ tok/s +decode +[\d.]+ tok/s",
        figure,
    )
    assert json.loads(found.read_text())["layers"] == 1
    assert list(tmp_path.iterdir()) == [found]


def test_a_step_of_an_edit_is_measured(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    folder = write_tiny_image_edit(tmp_path / "edit")
    args = argparse.Namespace(side=64, repeats=1, dtype="float32")
    assert script("speed").measure_step(folder, args)["step"] > 0


def test_what_cannot_be_written_is_told_and_nothing_is_left(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [*COMMAND, "lightning", "--scratch", str(tmp_path)])
    with pytest.raises(SystemExit, match="lightning is a LoRA"):
        script("speed").main()
    assert list(tmp_path.iterdir()) == []
