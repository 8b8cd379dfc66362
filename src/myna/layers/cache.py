"""Protocols between a network and whoever runs it: the batch it reads, the caches it attends to.

Not here: where keys and values are stored (engine.kv_cache) and which tokens make a batch
(engine.scheduler).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Hold vectors that belong to some of the tokens. Axis letter: R such tokens.

    Attributes:
        rows: (R,) int64, ascending: which tokens.
        values: (R, D), in the same order.
    """

    rows: Tensor
    values: Tensor

    def cut(self, start: int, stop: int, *, first_row: int = 0) -> Rows:
        """Keep what belongs to tokens `start` to `stop`, the first of which becomes `first_row`.

        Values are a view: what is written to the cut is written to the whole.
        """
        left, right = torch.searchsorted(self.rows, torch.tensor([start, stop])).tolist()
        return Rows(self.rows[left:right] + (first_row - start), self.values[left:right])


@dataclass(frozen=True)
class Tap:
    """Ask a decoder for hidden states.

    Attributes:
        depth: layers that have run when they are taken; what is added after the last of these is
            in them.
        out: its values are overwritten.
    """

    depth: int
    out: Rows


@dataclass(frozen=True)
class PackedBatch:
    """Hold the tokens of one step, of all requests, one after another.

    What follows the positions is for families that read more than text; each request may bring
    `Rows` of its own, with rows counted in the packed batch.

    Attributes:
        token_ids: (N,) int64.
        positions: (N,) int64, each token's position in its own request; families with several axes
            take (3, N), and fractions.
        replaced: vectors that take the place of their tokens' embeddings.
        added: `added[i]` is added to the residual stream after layer i.
        taps: hidden states to be written out.
    """

    token_ids: Tensor
    positions: Tensor
    replaced: tuple[Rows, ...] = ()
    added: tuple[tuple[Rows, ...], ...] = ()
    taps: tuple[Tap, ...] = ()


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
