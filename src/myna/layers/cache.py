"""Protocols between a network and whoever runs it: the batch it reads, the caches it attends to.

Not here: where keys and values are stored (engine.kv_cache) and which tokens make a batch
(engine.scheduler).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class PackedBatch:
    """Hold the tokens of one step, of all requests, one after another.

    Attributes:
        token_ids: (N,) int64.
        positions: (N,) int64, each token's position in its own request; families with several axes
            take (3, N).
    """

    token_ids: Tensor
    positions: Tensor


class LayerCache(Protocol):
    """Keep one layer's keys and values of all requests in the batch, and attend to them."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Append k and v, then let every query attend to its own request's past and itself.

        Args:
            q: (N, H, K) rotated queries.
            k: (N, G, K) rotated keys; H is a multiple of G, query head h reads key head
                h // (H // G).
            v: (N, G, K) values.

        Returns:
            (N, H, K): softmax(q k^T / sqrt(K)) v, of q's dtype.
        """
        ...
