"""Token ids to vectors; only the rows asked for are ever dequantised."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from myna.kernels import packed
from myna.kernels.packed import Packed, Weight


class Embedding(nn.Module):
    """Look up rows of a (V, D) matrix that is a float parameter or stays packed."""

    weight: Weight

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, width), requires_grad=False)

    def set_packed(self, name: str, weight: Packed) -> None:
        """Keep parameter `name` as packed blocks from now on."""
        delattr(self, name)
        setattr(self, name, weight)

    def forward(self, ids: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the rows of `ids`: (N,) int64 -> (N, D) of `dtype`."""
        return packed.embedding(ids, self.weight, dtype)
