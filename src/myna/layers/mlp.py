"""The gated feed-forward network."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from myna.kernels.experts import gated
from myna.layers.linear import Linear


class GatedMlp(nn.Module):
    """Compute down(silu(gate x) * up x).

    Source: arXiv:2002.05202 (SwiGLU); transformers 5.23 `Qwen2MLP`.
    Differs: gate and up are one matrix, `gate_up_proj`, gate's rows first.
    """

    def __init__(self, width: int, hidden_width: int, *, bias: bool = False) -> None:
        super().__init__()
        self.gate_up_proj = Linear(width, 2 * hidden_width, bias=bias)
        self.down_proj = Linear(hidden_width, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, D) to (N, D)."""
        upper, lower = self.gate_up_proj, self.down_proj
        if upper.bias is None and lower.bias is None:
            fused = gated(x, upper.weight, lower.weight)
            if fused is not None:
                return fused
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)  # (N, F) each
        out: Tensor = self.down_proj(functional.silu(gate).mul_(up))
        return out
