"""Keys and values of all requests, and attention over them.

One slot holds one token's keys (or values) of one layer; `tokens_per_block` successive slots are a
block. Not here: which slots belong to whom (block_pool, sequence, batch). Axis letters beside the
project's: R query heads that share one key/value head; H = G * R.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from myna.engine.batch import AttentionPlan, SingleGroup, Span
from myna.engine.protocols import Decoder
from myna.layers.cache import LayerCache


def kv_bytes_per_token(decoder: Decoder) -> int:
    """Count the bytes that one token's keys and values take in all layers."""
    width = decoder.num_kv_heads * decoder.head_width
    return 2 * decoder.num_layers * width * decoder.dtype.itemsize


class KVCache:
    """Own the memory; a page of it is used only once something is written there."""

    def __init__(self, decoder: Decoder, *, num_blocks: int, tokens_per_block: int) -> None:
        self.tokens_per_block = tokens_per_block
        self.dtype = decoder.dtype
        shape = (num_blocks * tokens_per_block, decoder.num_kv_heads, decoder.head_width)
        layers = range(decoder.num_layers)
        self.keys = [torch.empty(shape, dtype=decoder.dtype) for _ in layers]  # (slots, G, K)
        self.values = [torch.empty(shape, dtype=decoder.dtype) for _ in layers]  # (slots, G, K)

    def layers(self, plan: AttentionPlan) -> list[LayerCache]:
        """Make what the decoder's layers attend through in one step."""
        return [_Layer(k, v, plan) for k, v in zip(self.keys, self.values, strict=True)]

    def poison(self, block: int) -> None:
        """Fill a block with NaN, so that whoever still reads it shows."""
        start = block * self.tokens_per_block
        for store in (*self.keys, *self.values):
            store[start : start + self.tokens_per_block] = math.nan


class _Layer:
    """Attend in one layer, for one step."""

    def __init__(self, keys: Tensor, values: Tensor, plan: AttentionPlan) -> None:
        self._keys = keys
        self._values = values
        self._plan = plan

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Store k and v, then attend; see `LayerCache`."""
        self._keys.index_copy_(0, self._plan.slots, k)
        self._values.index_copy_(0, self._plan.slots, v)
        parts = [attend_group(q, self._keys, self._values, group) for group in self._plan.groups]
        parts += [attend_span(q, self._keys, self._values, span) for span in self._plan.spans]
        return parts[0] if len(parts) == 1 else torch.cat(parts)  # (N, H, K)


def attend_group(q: Tensor, keys: Tensor, values: Tensor, group: SingleGroup) -> Tensor:
    """Attend with one query token for each sequence of a group.

    Args:
        q: (N, H, K), of which the group's rows are taken.
        keys: (slots, G, K)
        values: (slots, G, K)
        group: what to read.

    Returns:
        (B, H, K)
    """
    rows = q[group.rows]  # (B, H, K)
    num_sequences, (_, num_kv_heads, width) = len(rows), keys.shape
    shape = (num_sequences, -1, num_kv_heads, width)
    # The R queries of a key head play the part of R successive tokens: no head is copied.
    queries = rows.reshape(num_sequences, num_kv_heads, -1, width)  # (B, G, R, K)
    past_k = _read(keys, group.past).view(shape).transpose(1, 2)
    past_v = _read(values, group.past).view(shape).transpose(1, 2)
    out = functional.scaled_dot_product_attention(  # past: (B, G, S, K)
        queries, past_k, past_v, attn_mask=group.mask
    )
    return out.reshape(rows.shape)


def attend_span(q: Tensor, keys: Tensor, values: Tensor, span: Span) -> Tensor:
    """Attend with successive tokens of one sequence.

    Args:
        q: (N, H, K), of which the span's rows are taken.
        keys: (slots, G, K)
        values: (slots, G, K)
        span: what to read.

    Returns:
        (T, H, K)
    """
    out = functional.scaled_dot_product_attention(
        q[span.rows].transpose(0, 1).unsqueeze(0),  # (1, H, T, K)
        _read(keys, span.past).transpose(0, 1).unsqueeze(0),  # (1, G, S, K)
        _read(values, span.past).transpose(0, 1).unsqueeze(0),  # (1, G, S, K)
        attn_mask=span.mask,
        is_causal=span.mask is None,
        enable_gqa=True,
    )
    return out.squeeze(0).transpose(0, 1)


def _read(store: Tensor, past: slice | Tensor) -> Tensor:
    """Take slots: a view if they follow one another, else a copy."""
    return store[past] if isinstance(past, slice) else store.index_select(0, past)
