"""Protocols between a network and whoever runs it: the batch it reads, the caches it attends to.

Not here: where keys and values are stored (engine.kv_cache) and which tokens make a batch
(engine.scheduler).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol, runtime_checkable

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

    def cut(self, start: int, stop: int) -> Rows:
        """Keep what belongs to tokens `start` to `stop`, counted from `start` on.

        Values are a view: what is written to the cut is written to the whole.
        """
        left, right = torch.searchsorted(self.rows, torch.tensor([start, stop])).tolist()
        return Rows(self.rows[left:right] - start, self.values[left:right])

    def to(self, device: torch.device) -> Rows:
        """Move both to a device."""
        return Rows(self.rows.to(device), self.values.to(device))

    def moved(self, num_tokens: int) -> Rows:
        """Count from so many tokens earlier; values are the same tensor."""
        return Rows(self.rows + num_tokens, self.values)


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

    def to(self, device: torch.device) -> Tap:
        """Move what is read to a device; what is written stays where it is."""
        return Tap(self.depth, Rows(self.out.rows.to(device), self.out.values))


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

    def cut(self, start: int, stop: int) -> PackedBatch:
        """Keep tokens `start` to `stop`, and what belongs to them: a chunk of a long prompt."""
        return PackedBatch(
            token_ids=self.token_ids[start:stop],
            positions=self.positions[..., start:stop],
            replaced=tuple(rows.cut(start, stop) for rows in self.replaced),
            added=tuple(tuple(rows.cut(start, stop) for rows in layer) for layer in self.added),
            taps=tuple(Tap(tap.depth, tap.out.cut(start, stop)) for tap in self.taps),
        )

    def to(self, device: torch.device) -> PackedBatch:
        """Move what a decoder reads to its device; batches are made on the processor's."""
        if self.token_ids.device == device:
            return self
        return PackedBatch(
            token_ids=self.token_ids.to(device),
            positions=self.positions.to(device),
            replaced=tuple(rows.to(device) for rows in self.replaced),
            added=tuple(tuple(rows.to(device) for rows in layer) for layer in self.added),
            taps=tuple(tap.to(device) for tap in self.taps),
        )


def join(batches: Sequence[PackedBatch]) -> PackedBatch:
    """Set batches one after another; if any has positions on three axes, all get them."""
    starts = [0, *accumulate(len(batch.token_ids) for batch in batches)][:-1]
    num_axes = max(batch.positions.dim() for batch in batches)
    moved = list(zip(batches, starts, strict=True))
    return PackedBatch(
        token_ids=torch.cat([batch.token_ids for batch in batches]),
        positions=torch.cat(
            [
                batch.positions if num_axes == 1 else batch.positions.expand(3, -1)
                for batch in batches
            ],
            dim=-1,
        ),
        replaced=tuple(rows.moved(start) for batch, start in moved for rows in batch.replaced),
        added=tuple(
            tuple(
                rows.moved(start)
                for batch, start in moved
                if layer < len(batch.added)
                for rows in batch.added[layer]
            )
            for layer in range(max(len(batch.added) for batch in batches))
        ),
        taps=tuple(
            Tap(tap.depth, tap.out.moved(start)) for batch, start in moved for tap in batch.taps
        ),
    )


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


@runtime_checkable
class PagedCache(Protocol):
    """Keep keys and values in blocks; a `LayerCache` that can hand out the memory itself."""

    @property
    def pages(self) -> LayerPages | None:
        """Give the memory if every request of the batch brings one token, else `None`.

        Whoever takes it, and does not call `attend`, must write each request's new key and value at
        its last position.
        """
        ...


@dataclass(frozen=True)
class LayerPages:
    """Hold one layer's keys and values, and where each request's are.

    Attributes:
        keys: (num_blocks, block_tokens, G, K), or packed (see `kernels.cached`).
        values: the same.
        block_tables: (B, table_width) int32, each request's blocks in order.
        lengths: (B,) int32, positions of each, the new one included.
    """

    keys: Tensor
    values: Tensor
    block_tables: Tensor
    lengths: Tensor
