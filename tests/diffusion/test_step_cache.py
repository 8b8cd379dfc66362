"""The step cache: when it reuses, what it gives then, and what it tells of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from myna.core.events import StepReuse
from myna.diffusion.step_cache import StepCache, relative_change


def run(cache: StepCache, steps: Sequence[Sequence[float]]) -> tuple[list[list[float]], list[int]]:
    """Take steps at which the first block adds these numbers, and all others a hundred times that.

    Returns:
        What comes out at each step, the first number of each pass; the steps that were computed.
    """
    out, computed = [], []
    for idx, added in enumerate(steps):
        before = tuple(torch.full((3, 2), float(idx)) for _ in added)
        after = tuple(x + add for x, add in zip(before, added, strict=True))

        def run_others(
            idx: int = idx, after: tuple[Tensor, ...] = after, added: Sequence[float] = added
        ) -> tuple[Tensor, ...]:
            computed.append(idx)
            return tuple(x + 100 * add for x, add in zip(after, added, strict=True))

        ended = cache.complete(idx, before, after, run_others)
        out.append([float(x[0, 0]) for x in ended])
    return out, computed


def test_a_step_like_the_last_whole_one_reuses_what_that_added() -> None:
    cache = StepCache(0.1, 4)
    out, computed = run(cache, [[1.0], [1.0625], [2.0], [2.0]])
    assert computed == [0, 2, 3]
    assert out == [[101.0], [1 + 1.0625 + 100], [204.0], [205.0]]
    assert cache.report() == StepReuse(
        num_reused=1, num_steps=4, max_change=0.0625, summed_change=0.0625
    )


def test_changes_are_from_the_last_whole_step_so_drift_adds_up() -> None:
    cache = StepCache(0.3, 6)
    _, computed = run(cache, [[1.0], [1.125], [1.25], [1.375], [1.375], [1.375]])
    assert computed == [0, 3, 5]
    report = cache.report()
    assert (report.num_reused, report.max_change) == (3, 0.25)
    assert report.summed_change == 0.125 + 0.25 + 0.0


def test_the_first_and_the_last_step_are_always_computed() -> None:
    assert run(StepCache(1.0, 4), [[1.0]] * 4)[1] == [0, 3]
    assert run(StepCache(1.0, 2), [[1.0]] * 2)[1] == [0, 1]
    assert run(StepCache(1.0, 1), [[1.0]])[1] == [0]


def test_a_threshold_of_zero_reuses_nothing() -> None:
    cache = StepCache(0.0, 5)
    assert run(cache, [[1.0]] * 5)[1] == [0, 1, 2, 3, 4]
    assert cache.report() == StepReuse(num_reused=0, num_steps=5, max_change=0.0, summed_change=0.0)


def test_passes_are_reused_together_or_not_at_all() -> None:
    cache = StepCache(0.1, 4)
    out, computed = run(cache, [[1.0, 1.0], [1.0, 1.5], [1.0625, 1.5], [1.0, 1.5]])
    assert computed == [0, 1, 3]
    assert out[2] == [2 + 1.0625 + 100, 2 + 1.5 + 150]
    assert cache.report().max_change == 0.0625


@pytest.mark.parametrize("steps", [[[0.0]] * 3, [[1.0, 1.0], [1.0, torch.nan], [1.0, 1.0]]])
def test_what_cannot_be_compared_is_computed(steps) -> None:
    assert run(StepCache(1.0, 3), steps)[1] == [0, 1, 2]


def test_a_change_is_the_mean_difference_over_the_mean() -> None:
    old = torch.tensor([[1.0, -3.0]], dtype=torch.bfloat16)
    new = torch.tensor([[1.5, -2.5]], dtype=torch.bfloat16)
    assert relative_change(old, new) == 0.25
