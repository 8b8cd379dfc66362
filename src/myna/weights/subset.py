"""Subset: those tensors of a checkpoint whose names begin alike, by what follows.

With it a module within a network, such as one layer, is filled by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from myna.kernels.packed import PackedWeight
from myna.weights.checkpoint import Checkpoint, TensorInfo


class Subset:
    """Give the tensors below a prefix of another checkpoint, which stays open.

    Args:
        checkpoint: the whole.
        prefix: what the names begin with, left out here.
    """

    def __init__(self, checkpoint: Checkpoint, prefix: str) -> None:
        self.name = f"{checkpoint.name}, {prefix}*"
        self._checkpoint = checkpoint
        self._prefix = prefix
        self.tensors: Mapping[str, TensorInfo] = {
            name.removeprefix(prefix): info
            for name, info in checkpoint.tensors.items()
            if name.startswith(prefix)
        }

    def read(self, name: str) -> Tensor | PackedWeight:
        """Read one tensor."""
        return self._checkpoint.read(self._prefix + name)

    def close(self) -> None:
        """Do nothing: whoever opened the whole closes it."""
