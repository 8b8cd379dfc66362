"""Runs that are killed: the next one goes on, and what comes out is the same to the byte."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from myna.core.errors import BadCheckpoint, InvalidRequest, Unavailable
from myna.core.progress import silent
from myna.weights.quantize import shard as shard_module
from myna.weights.quantize.folder import quantize_folder
from myna.weights.quantize.job import JOURNAL, locked
from myna.weights.quantize.scheme import Bits

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def write_model(folder: Path, *, seed: int = 0) -> Path:
    """Write two shards of four tensors each."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(seed)
    places = {}
    for number, shard in enumerate(SHARDS):
        tensors = {
            f"layers.{number}.{i}.weight": torch.randn(16, 64, generator=generator)
            for i in range(3)
        }
        tensors[f"layers.{number}.norm.weight"] = torch.ones(7)
        save_file(tensors, folder / shard)
        places |= dict.fromkeys(tensors, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "config.json").write_text("{}")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model(tmp_path / "source")


# Forks a child for each change of the disk, which kills itself in front of it; another child then
# goes on. Prints how many children were killed.
SWEEP = """
import sys
from pathlib import Path
import torch
from killed_child import run_child
from myna.weights.quantize import shard
from myna.weights.quantize.folder import quantize_folder

torch.set_num_threads(1)
shard.STEP_BYTES = 5000  # a step for each tensor or two
source, folder = Path(sys.argv[1]), Path(sys.argv[2])
kill_at = 1


def work():
    quantize_folder(source, folder / str(kill_at), bits=4, progress=lambda *_: None)


while run_child(work, kill_at):
    is_begun = (folder / f"{kill_at}.part/journal.json").exists()
    if is_begun or not (folder / str(kill_at)).exists():
        assert not run_child(work, None)
    kill_at += 1
print(kill_at - 1)
"""


def test_a_run_that_is_killed_at_any_moment_is_gone_on_with(source: Path, tmp_path: Path) -> None:
    quantize_folder(source, tmp_path / "expected", bits=4, progress=silent)
    expected = contents(tmp_path / "expected")
    (tmp_path / "killed").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, str(source), str(tmp_path / "killed")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    num_killed = int(done.stdout)
    assert num_killed > 20
    for kill_at in range(1, num_killed + 2):
        assert contents(tmp_path / "killed" / str(kill_at)) == expected


def interrupt(source: Path, target: Path, *, after: int, bits: Bits = 4) -> None:
    """Stop a run in the midst of a tensor."""
    calls = 0

    def stop(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_folder(source, target, bits=bits, progress=stop)
    assert not target.exists()


def test_nothing_finished_is_done_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(source, tmp_path / "out", after=7)  # once at each shard's start, then by tensor
    encoded = []
    encode = shard_module.encode_rows
    monkeypatch.setattr(
        shard_module, "encode_rows", lambda *args: encoded.append(0) or encode(*args)
    )
    steps: list[tuple[str, int, int]] = []
    report = quantize_folder(source, tmp_path / "out", bits=4, progress=lambda *s: steps.append(s))
    assert len(encoded) == 3  # of the second shard
    assert steps[0][1] == report.bytes_before // 2
    assert steps[-1] == ("quantizing", report.bytes_before, report.bytes_before)
    again = quantize_folder(source, tmp_path / "again", bits=4, progress=silent)
    assert report == again


def test_a_shard_that_was_changed_meanwhile_is_done_again(source: Path, tmp_path: Path) -> None:
    interrupt(source, tmp_path / "out", after=7)
    other = write_model(tmp_path / "other", seed=1)
    for path in other.iterdir():
        path.replace(source / path.name)
    quantize_folder(source, tmp_path / "out", bits=4, progress=silent)
    quantize_folder(source, tmp_path / "expected", bits=4, progress=silent)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_other_options_are_not_mixed_in(source: Path, tmp_path: Path) -> None:
    interrupt(source, tmp_path / "out", after=7)
    message = "out.part holds a model that was begun with other options; go on with those"
    with pytest.raises(InvalidRequest, match=re.escape(message)):
        quantize_folder(source, tmp_path / "out", bits=8, progress=silent)
    columns = {"layers.0.0.weight": torch.rand(64)}
    with pytest.raises(InvalidRequest, match=re.escape(message)):
        quantize_folder(source, tmp_path / "out", bits=4, progress=silent, importance=columns)


def test_a_damaged_journal_is_told(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / JOURNAL).write_text("{")
    with pytest.raises(BadCheckpoint, match=r"journal\.json is damaged .* delete .*out\.part"):
        quantize_folder(source, tmp_path / "out", bits=4, progress=silent)


def test_two_runs_do_not_write_to_one_place(source: Path, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "out.part"),
        pytest.raises(Unavailable, match=r"another process writes to .*out\.part; wait"),
    ):
        quantize_folder(source, tmp_path / "out", bits=4, progress=silent)
