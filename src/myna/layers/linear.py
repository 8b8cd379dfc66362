"""The matrix product of every projection; the matrix is a float parameter or stays in its blocks.

Not here: how a product with packed blocks is computed (kernels.packed).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from myna.kernels import packed
from myna.kernels.packed import Packed, Weight


class Linear(nn.Module):
    """Multiply by a (rows, cols) matrix and add a bias if there is one.

    Differs: torch's `nn.Linear` cannot hold a packed matrix and draws weights that a loader
    overwrites.
    """

    weight: Weight
    bias: Tensor | None

    def __init__(self, cols: int, rows: int, *, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, cols), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(rows), requires_grad=False) if bias else None

    def set_packed(self, name: str, weight: Packed) -> None:
        """Keep parameter `name` as packed blocks from now on."""
        delattr(self, name)
        setattr(self, name, weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., cols) to (..., rows)."""
        return packed.linear(x, self.weight, self.bias)
