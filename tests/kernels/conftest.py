"""The compiled kernels at every instruction set that this machine runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from myna.kernels.native import Native, native

COMPILED = native()
LEVELS = [] if COMPILED is None else [COMPILED.at_level(i) for i in COMPILED.levels]


@pytest.fixture(params=LEVELS or [None], ids=lambda level: level.name if level else "none")
def kernels(request: pytest.FixtureRequest) -> Native:
    """Give the kernels, once for each instruction set."""
    if request.param is None:
        pytest.skip("the kernels are not compiled: there was no C++ compiler at installation")
    level: Native = request.param
    return level


@pytest.fixture(params=[1, 2, 4])
def num_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run with that many threads, and restore the number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)
