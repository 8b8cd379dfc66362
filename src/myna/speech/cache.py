"""Keys and values of voices, in blocks of one pool, attended to together.

Voices take blocks as they grow and give them back when they end, so that a step of all voices reads
one piece of memory a layer, as the compiled decode step wants it.

Not here: which rows of a step belong to whom (speaker).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import torch
from torch import Tensor
from torch.nn import functional

from myna.kernels.attention import paged_attention
from myna.layers.cache import LayerCache, LayerPages
from myna.speech.protocols import CodeDecoder

BLOCK_TOKENS = 64
FIRST_BLOCKS = 16


class CachePool:
    """Hold the blocks of all voices; it grows when none is left.

    Attributes:
        store: (L, 2, num_blocks, BLOCK_TOKENS, G, K), keys and values of each layer.
    """

    def __init__(self, decoder: CodeDecoder) -> None:
        heads = (decoder.num_kv_heads, decoder.head_width)
        shape = (decoder.num_layers, 2, 0, BLOCK_TOKENS, *heads)
        self.store = torch.empty(shape, dtype=decoder.dtype, device=decoder.device)
        self._free: list[int] = []

    @property
    def num_blocks(self) -> int:
        """Count the blocks, taken or not."""
        return self.store.shape[2]

    @property
    def num_free(self) -> int:
        """Count the blocks that nobody has."""
        return len(self._free)

    def take(self) -> int:
        """Hand out a block; what is not yet written in it is not a number."""
        if not self._free:
            before, more = self.num_blocks, max(FIRST_BLOCKS, self.num_blocks)
            self.store = functional.pad(self.store, (0, 0) * 3 + (0, more), value=nan)
            self._free = list(range(before, before + more))
        block = self._free.pop(0)
        self.store[:, :, block] = nan
        return block

    def give_back(self, blocks: Sequence[int]) -> None:
        """Take blocks back."""
        self._free += blocks


class VoiceCache:
    """Keep one voice's place in the pool.

    What a step writes counts only once `length` is raised, so a failed step can be made again.

    Attributes:
        pool: where the blocks are.
        blocks: its own, in order.
        length: positions that count.
    """

    def __init__(self, pool: CachePool) -> None:
        self.pool = pool
        self.blocks: list[int] = []
        self.length = 0

    def reserve(self, num_more: int) -> None:
        """Make room for more positions."""
        while len(self.blocks) * BLOCK_TOKENS < self.length + num_more:
            self.blocks.append(self.pool.take())

    def release(self) -> None:
        """Give all back."""
        self.pool.give_back(self.blocks)
        self.blocks, self.length = [], 0


@dataclass(frozen=True)
class Step:
    """Say where the new positions of a step go, for all layers.

    Attributes:
        slots: (N,) int64, of each new position, counted through all blocks.
        sizes: new positions of each voice.
        ends: positions of each voice, the new ones included.
        block_tables: (B, table_width) int32.
        lengths: (B,) int32, the same as `ends`.
    """

    slots: Tensor
    sizes: Sequence[int]
    ends: Sequence[int]
    block_tables: Tensor
    lengths: Tensor


class _Layer:
    """Attend in one layer, for one step; satisfies `PagedCache`."""

    def __init__(self, keys: Tensor, values: Tensor, step: Step) -> None:
        self._keys = keys  # (num_blocks, BLOCK_TOKENS, G, K)
        self._values = values
        self._step = step

    @property
    def pages(self) -> LayerPages | None:
        """See `PagedCache`."""
        step = self._step
        if max(step.sizes) > 1:
            return None
        return LayerPages(self._keys, self._values, step.block_tables, step.lengths)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `LayerCache`."""
        step = self._step
        self._keys.flatten(0, 1)[step.slots] = k
        self._values.flatten(0, 1)[step.slots] = v
        if max(step.sizes) > 1:
            return torch.cat(
                [
                    self._attend_alone(part, voice)
                    for voice, part in enumerate(torch.split(q, list(step.sizes)))
                ]
            )
        return paged_attention(
            q,
            self._keys,
            self._values,
            block_tables=step.block_tables,
            lengths=step.lengths,
            scale=q.shape[-1] ** -0.5,
        )

    def _attend_alone(self, q: Tensor, voice: int) -> Tensor:
        """Let one voice's new positions see its past and those before each: (T, H, K) -> same."""
        length = self._step.ends[voice]
        blocks = self._step.block_tables[voice, : -(-length // BLOCK_TOKENS)]
        k, v = (
            store.index_select(0, blocks).flatten(0, 1)[:length].transpose(0, 1)[None]
            for store in (self._keys, self._values)
        )  # (1, G, S, K)
        num_past = length - len(q)
        mask = None
        if num_past > 0:
            mask = torch.ones(len(q), length, dtype=torch.bool, device=q.device).tril(num_past)
        out = functional.scaled_dot_product_attention(
            q.transpose(0, 1)[None], k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=True
        )  # (1, H, T, K)
        return out[0].transpose(0, 1)


def joined(caches: Sequence[VoiceCache], sizes: Sequence[int]) -> list[LayerCache]:
    """Make what the layers attend through in a step.

    Args:
        caches: of the voices, in packing order, all of one pool; room is made in them.
        sizes: new positions of each.
    """
    for cache, size in zip(caches, sizes, strict=True):
        cache.reserve(size)
    width = max(len(cache.blocks) for cache in caches)
    table = torch.zeros(len(caches), width, dtype=torch.int32)
    slots: list[int] = []
    for row, cache, size in zip(table, caches, sizes, strict=True):
        row[: len(cache.blocks)] = torch.tensor(cache.blocks, dtype=torch.int32)
        slots += [
            cache.blocks[at // BLOCK_TOKENS] * BLOCK_TOKENS + at % BLOCK_TOKENS
            for at in range(cache.length, cache.length + size)
        ]
    lengths = [cache.length + size for cache, size in zip(caches, sizes, strict=True)]
    store = caches[0].pool.store
    step = Step(
        slots=torch.tensor(slots).to(store.device),
        sizes=sizes,
        ends=lengths,
        block_tables=table.to(store.device),
        lengths=torch.tensor(lengths, dtype=torch.int32).to(store.device),
    )
    return [_Layer(keys, values, step) for keys, values in store]
