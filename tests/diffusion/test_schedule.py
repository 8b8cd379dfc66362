"""Schedules: the vectors of the released model, and their bounds."""

from __future__ import annotations

import pytest

from myna.core.errors import InvalidRequest
from myna.diffusion.schedule import LIGHTNING, Schedule

ATOL = 1e-6


def test_the_released_schedule() -> None:
    schedule = Schedule()
    assert schedule.shift(4096) == pytest.approx(0.693548, abs=ATOL)
    assert schedule.sigmas(4, 4096) == pytest.approx((1, 0.766709, 0.455614, 0.02, 0), abs=ATOL)
    long = schedule.sigmas(40, 4096)
    assert long[:3] == pytest.approx((1, 0.986964, 0.973593), abs=ATOL)
    assert long[-4:] == pytest.approx((0.113533, 0.067881, 0.02, 0), abs=ATOL)


def test_lightning_does_not_depend_on_size_and_ends_where_it_ends() -> None:
    assert LIGHTNING.sigmas(4, 100) == LIGHTNING.sigmas(4, 9000)
    assert LIGHTNING.sigmas(4, 4096) == pytest.approx((1, 0.9, 0.75, 0.5, 0), abs=ATOL)


def test_one_step_goes_all_the_way() -> None:
    assert Schedule().sigmas(1, 4096) == (1.0, 0.0)


@pytest.mark.parametrize("count", [0, -1, 201])
def test_too_few_or_too_many_steps_are_refused(count: int) -> None:
    with pytest.raises(InvalidRequest, match="give 1 to 200"):
        Schedule().sigmas(count, 4096)
