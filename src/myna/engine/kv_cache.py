"""Keys and values of all requests, and attention over them.

One slot holds one token's keys (or values) of one layer; `tokens_per_block` successive slots are a
block. Not here: which slots belong to whom (block_pool, sequence, batch). Axis letters beside the
project's: R query heads that share one key/value head, H = G * R; W numbers, or bytes, that a
stored head takes (see `kernels.cached`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from myna.engine.batch import AttentionPlan, Span
from myna.engine.protocols import Decoder
from myna.kernels.attention import paged_attention, prompt_attention
from myna.kernels.cached import PACKED, heads_of, stored, stored_width
from myna.layers.cache import LayerCache, LayerPages


def kv_bytes_per_token(decoder: Decoder, *, is_packed: bool = False) -> int:
    """Count the bytes that one token's keys and values take in all layers."""
    dtype = PACKED if is_packed else decoder.dtype
    width = decoder.num_kv_heads * stored_width(decoder.head_width, dtype)
    return 2 * decoder.num_layers * width * dtype.itemsize


class KVCache:
    """Own the memory; a page of it is used only once something is written there.

    Args:
        decoder: says what a token's keys and values are.
        num_blocks: how many there are.
        tokens_per_block: how many tokens' keys and values each holds.
        is_packed: store them in 8 bits; heads must be whole blocks of 32.
        on_layer: is called whenever a layer attends, by whoever computes.

    Attributes:
        spare_slot: a slot beyond all blocks, for what nobody reads.
    """

    def __init__(
        self,
        decoder: Decoder,
        *,
        num_blocks: int,
        tokens_per_block: int,
        is_packed: bool = False,
        on_layer: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_layer = on_layer
        self.tokens_per_block = tokens_per_block
        self.dtype = decoder.dtype
        self.spare_slot = num_blocks * tokens_per_block
        dtype, device = PACKED if is_packed else decoder.dtype, decoder.device
        width = stored_width(decoder.head_width, dtype)
        shape = (num_blocks + 1, tokens_per_block, decoder.num_kv_heads, width)
        layers = range(decoder.num_layers)
        self.keys = [torch.empty(shape, dtype=dtype, device=device) for _ in layers]
        self.values = [torch.empty(shape, dtype=dtype, device=device) for _ in layers]

    def layers(self, plan: AttentionPlan) -> list[LayerCache]:
        """Make what the decoder's layers attend through in one step."""
        return [
            _Layer(k, v, plan, self._on_layer) for k, v in zip(self.keys, self.values, strict=True)
        ]

    def poison(self, block: int) -> None:
        """Fill a block with NaN, so that whoever still reads it shows."""
        for store in (*self.keys, *self.values):
            store[block] = 0xFF if store.dtype is PACKED else math.nan


class _Layer:
    """Attend in one layer, for one step."""

    def __init__(
        self, keys: Tensor, values: Tensor, plan: AttentionPlan, on_layer: Callable[[], None]
    ) -> None:
        self._keys = keys  # (blocks, tokens_per_block, G, W)
        self._values = values
        self._plan = plan
        self._on_layer = on_layer

    @property
    def pages(self) -> LayerPages | None:
        """Give the memory itself where all sequences bring one token; see `PagedCache`."""
        plan = self._plan
        if plan.spans:
            return None
        return LayerPages(self._keys, self._values, plan.block_tables, plan.lengths)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Store k and v, then attend; see `LayerCache`."""
        self._on_layer()
        plan = self._plan
        keys, values = self._keys.flatten(0, 1), self._values.flatten(0, 1)  # (slots, G, W)
        keys.index_copy_(0, plan.slots, stored(k, keys.dtype))
        values.index_copy_(0, plan.slots, stored(v, values.dtype))
        parts = [attend_span(q[span.rows], keys, values, span) for span in plan.spans]
        num_single = len(plan.lengths)
        if num_single > 0:
            single = paged_attention(
                q[:num_single],
                self._keys,
                self._values,
                block_tables=plan.block_tables,
                lengths=plan.lengths,
                scale=1 / math.sqrt(q.shape[-1]),
            )
            parts.insert(0, single)
        return parts[0] if len(parts) == 1 else torch.cat(parts)  # (N, H, K)


def attend_span(q: Tensor, keys: Tensor, values: Tensor, span: Span) -> Tensor:
    """Attend with successive tokens of one sequence.

    Args:
        q: (T, H, K)
        keys: (slots, G, W), as stored.
        values: (slots, G, W)
        span: what to read.

    Returns:
        (T, H, K)
    """
    past = span.past
    if keys.dtype is PACKED:
        keys, values = (heads_of(_read(store, past), q.dtype) for store in (keys, values))
        past = slice(0, len(keys))
    fast = prompt_attention(q, keys, values, past=past, scale=1 / math.sqrt(q.shape[-1]))
    if fast is not None:
        return fast
    out = functional.scaled_dot_product_attention(
        q.transpose(0, 1).unsqueeze(0),  # (1, H, T, K)
        _read(keys, past).transpose(0, 1).unsqueeze(0),  # (1, G, S, K)
        _read(values, past).transpose(0, 1).unsqueeze(0),  # (1, G, S, K)
        attn_mask=span.mask,
        is_causal=span.mask is None,
        enable_gqa=True,
    )
    return out.squeeze(0).transpose(0, 1)


def _read(store: Tensor, past: slice | Tensor) -> Tensor:
    """Take slots: a view if they follow one another, else a copy."""
    return store[past] if isinstance(past, slice) else store.index_select(0, past)
