"""A part of a checkpoint, as if it were a whole one."""

from __future__ import annotations

import torch

from myna.weights.checkpoint import MemoryCheckpoint
from myna.weights.subset import Subset


def test_a_subset_holds_what_is_below_its_prefix() -> None:
    weights = {"layers.1.a": torch.ones(2), "layers.10.a": torch.zeros(2), "b": torch.ones(1)}
    subset = Subset(MemoryCheckpoint(weights), "layers.1.")
    assert list(subset.tensors) == ["a"]
    assert torch.equal(subset.read("a"), torch.ones(2))
    assert subset.name == "memory, layers.1.*"
    subset.close()
