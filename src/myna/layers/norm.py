"""Root-mean-square normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class RmsNorm(nn.Module):
    """Divide by the root mean square of the last axis, taken in float32, then scale.

    The quotient is rounded to the input's dtype before the weight multiplies it, as the models were
    trained.
    Source: arXiv:1910.07467; transformers 5.23 `Qwen2RMSNorm`.
    """

    def __init__(self, width: int, *, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width), requires_grad=False)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (..., width) along its last axis."""
        return self.weight * functional.rms_norm(x, self.weight.shape, None, self.eps)
