"""Low-rank changes of the transformer, beside its matrices rather than in them.

So packed matrices can be changed as well, and nothing is written anew. Not here: files
(weights.lora).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from myna.core.errors import BadCheckpoint
from myna.layers.linear import Linear
from myna.weights.lora import LowRank
from myna.weights.rules import Ignore, Rule, place


class ChangedLinear(nn.Module):
    """Add low-rank products to what a matrix product gives.

    Args:
        linear: the matrix as it is.
    """

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        self.linear = linear
        self.changes: list[tuple[int, LowRank]] = []

    @property
    def bias(self) -> Tensor | None:
        """Give the bias, which nothing changes."""
        return self.linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., columns) to (..., rows)."""
        out = self.linear(x)
        for start, change in self.changes:
            part = out[..., start : start + len(change.up)]
            part += functional.linear(functional.linear(x, change.down), change.up)
        return out


def change(
    network: nn.Module, changes: Mapping[str, LowRank], rules: Sequence[Rule], *, prefix: str = ""
) -> None:
    """Change those matrices of a network that a file changes.

    Args:
        network: loaded.
        changes: by the released names.
        rules: that the network was loaded by.
        prefix: of the released names of the network's matrices.

    Raises:
        BadCheckpoint: a change does not fit its matrix.
    """
    for name, low_rank in changes.items():
        if not name.startswith(prefix):
            continue
        found = place(f"{name.removeprefix(prefix)}.weight", rules)
        if isinstance(found, Ignore):
            continue
        path = found.name.removesuffix(".weight")
        holder_path, _, leaf = path.rpartition(".")
        holder = network.get_submodule(holder_path)
        linear = getattr(holder, leaf)
        if not isinstance(linear, ChangedLinear):
            linear = ChangedLinear(linear)
            setattr(holder, leaf, linear)
        # What is fused into one matrix has parts of one size.
        num_rows, num_columns = linear.linear.weight.shape
        num_rows //= max(1, len(found.parts))
        shape = (low_rank.up.shape[0], low_rank.down.shape[1])
        if shape != (num_rows, num_columns):
            raise BadCheckpoint(
                f"the change of {name!r} is of {shape}, but the matrix is of "
                f"{(num_rows, num_columns)}; it was made for another model"
            )
        linear.changes.append((found.part * num_rows, low_rank))
