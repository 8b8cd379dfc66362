"""Mixture of experts: each token is read by the few feed-forward networks that a router picks.

Source: transformers 5.23 `Qwen3MoeSparseMoeBlock`.
Differs: tokens are sorted by expert once, so that each expert runs as one product.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.kernels import packed
from myna.kernels.experts import Networks, bind, feed_forward
from myna.kernels.packed import Packed, Weight
from myna.layers.linear import Linear


class Experts(nn.Module):
    """Hold X gated feed-forward networks as stacked matrices, packed or not.

    Attributes:
        gate_up_proj: (X, 2*F, D), gate's rows first.
        down_proj: (X, D, F).
    """

    gate_up_proj: Weight
    down_proj: Weight

    def __init__(self, num_experts: int, width: int, hidden_width: int) -> None:
        super().__init__()
        gate_up = torch.empty(num_experts, 2 * hidden_width, width)
        down = torch.empty(num_experts, width, hidden_width)
        self.gate_up_proj = nn.Parameter(gate_up, requires_grad=False)
        self.down_proj = nn.Parameter(down, requires_grad=False)
        self.num_experts = num_experts
        self._networks: dict[torch.dtype, Networks | None] = {}

    def set_packed(self, name: str, weight: Packed) -> None:
        """Keep parameter `name` as packed blocks from now on."""
        delattr(self, name)
        setattr(self, name, weight)
        self._networks.clear()

    def networks(self, dtype: torch.dtype) -> Networks | None:
        """Describe the experts to the compiled kernels; `None` where these cannot serve.

        Args:
            dtype: of the activations.
        """
        if dtype not in self._networks:
            experts = range(self.num_experts)
            self._networks[dtype] = bind(
                [self.gate_up_proj[expert] for expert in experts],
                [self.down_proj[expert] for expert in experts],
                dtype,
            )
        return self._networks[dtype]

    def forward(self, x: Tensor, experts: Tensor, shares: Tensor) -> Tensor:
        """Sum each token's experts, each weighted by its share.

        Args:
            x: (N, D).
            experts: (N, k) int64, the experts of each token.
            shares: (N, k), of x's dtype.

        Returns:
            (N, D); a token's experts are added in ascending order, whatever else is in the batch.
        """
        is_packed = not isinstance(self.gate_up_proj, Tensor)
        networks = self.networks(x.dtype) if is_packed else None
        if networks is not None:
            fused = feed_forward(x, networks, experts, shares)
            if fused is not None:
                return fused
        gate_up, down = self.gate_up_proj, self.down_proj
        is_elsewhere = not x.is_cpu and x.dtype is torch.bfloat16  # which is what is grouped there
        if is_elsewhere and isinstance(gate_up, Tensor) and isinstance(down, Tensor):
            return grouped(x, experts, shares, gate_up=gate_up, down=down)
        if self.num_experts == 1:
            return self.run(x, 0) * shares
        out = torch.zeros_like(x)
        by_expert = experts.flatten().argsort(stable=True)  # (N*k,)
        counts = experts.flatten().bincount(minlength=self.num_experts).tolist()
        shares = shares.flatten()[by_expert, None]  # (N*k, 1)
        tokens = by_expert // experts.shape[1]  # (N*k,)
        start = 0
        for expert, count in enumerate(counts):
            if count == 0:
                continue
            rows = slice(start, start + count)
            y = self.run(x[tokens[rows]], expert)  # (count, D)
            out.index_add_(0, tokens[rows], y * shares[rows])
            start += count
        return out

    def run(self, x: Tensor, expert: int) -> Tensor:
        """Run one expert on its tokens: (n, D) -> (n, D)."""
        gate, up = packed.linear(x, self.gate_up_proj[expert]).chunk(2, dim=-1)  # (n, F) each
        return packed.linear(functional.silu(gate).mul_(up), self.down_proj[expert])


def grouped(x: Tensor, experts: Tensor, shares: Tensor, *, gate_up: Tensor, down: Tensor) -> Tensor:
    """Run all experts as two products, without looking at a value: for other devices.

    Args:
        x: (N, D).
        experts: (N, k) int64, the experts of each token.
        shares: (N, k), of x's dtype.
        gate_up: (X, 2*F, D), gate's rows first.
        down: (X, D, F).

    Returns:
        (N, D); a token's experts are added in the router's order.
    """
    num_chosen, flat = experts.shape[1], experts.flatten()
    by_expert = flat.argsort(stable=True)  # (N*k,)
    every = torch.arange(len(down), device=x.device)
    ends = torch.searchsorted(flat[by_expert], every, right=True).int()  # (X,)
    rows = x[by_expert // num_chosen]  # (N*k, D)
    gate, up = functional.grouped_mm(rows, gate_up.mT, offs=ends).chunk(2, dim=-1)  # (N*k, F)
    y = functional.grouped_mm(functional.silu(gate) * up, down.mT, offs=ends)  # (N*k, D)
    out = torch.empty_like(y).index_copy_(0, by_expert, y).view(*experts.shape, -1)  # (N, k, D)
    return (out * shares[..., None]).sum(1)


class SparseMoe(nn.Module):
    """Send each token to the `num_chosen` experts with the highest router probability.

    The router's softmax is float32; with `renormalise` the chosen probabilities are scaled to sum
    to one.
    """

    def __init__(
        self, width: int, hidden_width: int, *, num_experts: int, num_chosen: int, renormalise: bool
    ) -> None:
        super().__init__()
        self.gate = Linear(width, num_experts)
        self.experts = Experts(num_experts, width, hidden_width)
        self.num_chosen = num_chosen
        self.renormalise = renormalise

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, D) to (N, D)."""
        probabilities = self.gate(x).softmax(dim=-1, dtype=torch.float32)  # (N, X)
        shares, experts = probabilities.topk(self.num_chosen, dim=-1)  # (N, k) each
        if self.renormalise:
            shares = shares / shares.sum(dim=-1, keepdim=True)
        out: Tensor = self.experts(x, experts, shares.to(x.dtype))
        return out
