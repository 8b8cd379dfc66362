"""Processes that train together step alike, and none waits for one that failed."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from myna.core.errors import InvalidRequest, Unavailable
from myna.train import recipe, together
from myna.train.loop import STATE
from myna.train.together import Team
from shared_lessons import fail_second, learn, together_for_ever


def wait_until(holds: Callable[[], bool], *, within_s: float) -> None:
    end_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_a_process_by_itself_keeps_its_gradients_seed_and_wish() -> None:
    leaf = torch.ones(2)
    leaf.grad = torch.full((2,), 3.0)
    Team().take_mean([leaf])
    assert leaf.grad.tolist() == [3.0, 3.0]
    assert Team().seed(7) == 7
    assert Team(rank=1).seed(7) != 7
    assert Team().agree(wish=True)


def test_two_processes_learn_from_the_mean_of_both(tmp_path: Path) -> None:
    together.run(partial(learn, tmp_path), processes=2, threads=1)
    first, second = (load_file(tmp_path / f"{rank}.safetensors")["weight"] for rank in range(2))
    assert torch.equal(first, second)
    assert first.item() == pytest.approx(2.0, abs=0.05)
    assert (tmp_path / STATE).is_file()
    assert len((tmp_path / "curve.jsonl").read_text().splitlines()) == 1


def test_the_first_process_stops_all(tmp_path: Path) -> None:
    together.run(partial(learn, tmp_path, minutes=1e-6), processes=2, threads=1)
    first, second = (load_file(tmp_path / f"{rank}.safetensors")["weight"] for rank in range(2))
    assert torch.equal(first, second)
    assert load_file(tmp_path / STATE)["step.weight"].item() == 1


def test_nobody_waits_for_a_process_that_failed() -> None:
    with pytest.raises(Unavailable, match="process 1 of 2 that trained together ended with 3"):
        together.run(fail_second, processes=2, threads=1)


def test_processes_end_when_the_one_that_began_them_is_killed(tmp_path: Path) -> None:
    parent = multiprocessing.get_context("spawn").Process(
        target=together_for_ever, args=(tmp_path,), daemon=False
    )
    parent.start()
    beats = [tmp_path / f"{rank}.beat" for rank in range(2)]
    wait_until(lambda: all(path.exists() for path in beats), within_s=60)
    parent.kill()
    parent.join()

    def is_still() -> bool:
        before = [path.read_text() for path in beats]
        time.sleep(0.5)
        return before == [path.read_text() for path in beats]

    wait_until(is_still, within_s=10)


def test_a_stage_that_makes_data_is_not_shared(workshop: Path) -> None:
    del workshop
    with pytest.raises(InvalidRequest, match=r"cannot share the stage 'voices'; .* talker, ears"):
        recipe.run("voices", minutes=None, report=print, processes=2)
