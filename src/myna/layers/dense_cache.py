"""The plainest layer cache: one request, everything kept in one growing tensor.

For tests and small loops; serving keeps keys and values in blocks (engine.kv_cache).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


class DenseCache:
    """Satisfy `LayerCache` for a single request whose tokens come in order."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None  # (1, G, S, K)
        self.values: Tensor | None = None  # (1, G, S, K)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Append k and v, then let each of the N queries attend to its past and itself."""
        q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))  # (1, heads, N, K)
        self.keys = k if self.keys is None else torch.cat((self.keys, k), 2)
        self.values = v if self.values is None else torch.cat((self.values, v), 2)
        num_new, num_all = q.shape[2], self.keys.shape[2]
        mask = None
        if 1 < num_new < num_all:
            mask = torch.ones(num_new, num_all, dtype=torch.bool, device=q.device)
            mask = mask.tril(num_all - num_new)
        out = functional.scaled_dot_product_attention(
            q,
            self.keys,
            self.values,
            mask,
            is_causal=num_new == num_all,
            enable_gqa=True,
        )  # (1, H, N, K)
        return out[0].transpose(0, 1)
