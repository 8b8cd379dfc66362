"""Decode attention over a paged cache: one query token of each request reads that request's past.

Not here: prompts (many queries of one request), where torch's own attention is fast, and where
keys and values are written. Axis letters beside the project's: R query heads that share one
key/value head; H = G * R.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from myna.kernels.native import DTYPES, Native, is_plain, native

# The widest head that the kernel has room for.
MAX_HEAD_WIDTH = 512


def paged_attention(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    block_tables: Tensor,
    lengths: Tensor,
    scale: float,
) -> Tensor:
    """Let each request's one query attend to its cached positions.

    Softmax and sums are in float32. A request's result depends on its own past alone: neither on
    the requests beside it nor on the number of threads.

    Args:
        q: (B, H, K) float32 or bfloat16.
        keys: (num_blocks, block_tokens, G, K) of q's dtype; H is a multiple of G, query head h
            reads key head h // (H // G).
        values: the same shape and dtype.
        block_tables: (B, table_width) int32, each request's blocks in order; callers make sure
            that the blocks which its length reaches are in the cache, the rest is never read.
        lengths: (B,) int32, positions cached, the query's own among them; 0 gives zeros.
        scale: what scores are multiplied by before the softmax, usually 1 / sqrt(K).

    Returns:
        (B, H, K), of q's dtype.
    """
    if not q.is_cpu:
        return paged_attention_gathered(
            q, keys, values, block_tables=block_tables, lengths=lengths, scale=scale
        )
    kernels = native()
    tensors = (keys, values, block_tables, lengths)
    if (
        kernels is None
        or q.dtype not in DTYPES
        or q.shape[-1] > MAX_HEAD_WIDTH
        or not all(is_plain(tensor) for tensor in tensors)
        or not is_plain(q := q.contiguous())
    ):
        return paged_attention_twin(
            q, keys, values, block_tables=block_tables, lengths=lengths, scale=scale
        )
    return paged_attention_native(
        kernels, q, keys, values, block_tables=block_tables, lengths=lengths, scale=scale
    )


def paged_attention_native(
    kernels: Native,
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    block_tables: Tensor,
    lengths: Tensor,
    scale: float,
) -> Tensor:
    """Run the kernel itself; the caller knows that all are plain and the head is not too wide."""
    num_requests, num_heads, width = q.shape
    _, block_tokens, num_kv_heads, _ = keys.shape
    table_width = block_tables.shape[1]
    assert keys.dtype == values.dtype == q.dtype, (q.dtype, keys.dtype, values.dtype)
    assert block_tables.dtype == lengths.dtype == torch.int32, (block_tables.dtype, lengths.dtype)
    assert keys.shape == values.shape, (keys.shape, values.shape)
    assert keys.shape[-1] == width, (q.shape, keys.shape)
    assert num_heads % num_kv_heads == 0, (q.shape, keys.shape)
    assert len(block_tables) == len(lengths) == num_requests, (block_tables.shape, lengths.shape)
    num_splits = -(-table_width * block_tokens // kernels.split_tokens)
    scratch = torch.empty(num_requests * num_splits * num_heads * (width + 2))
    out = torch.empty_like(q)
    kernels.paged_attention(
        kernels.level,
        torch.get_num_threads(),
        q.data_ptr(),
        keys.data_ptr(),
        values.data_ptr(),
        block_tables.data_ptr(),
        lengths.data_ptr(),
        out.data_ptr(),
        scratch.data_ptr(),
        num_requests,
        num_kv_heads,
        num_heads // num_kv_heads,
        width,
        block_tokens,
        table_width,
        num_splits,
        scale,
        DTYPES[q.dtype],
    )
    return out


def paged_attention_gathered(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    block_tables: Tensor,
    lengths: Tensor,
    scale: float,
) -> Tensor:
    """Compute the same for all requests at once, without looking at a value: for other devices.

    What is in blocks beyond a length must not matter, though it may be no number: it is read as 0.
    """
    block_tokens = keys.shape[1]
    places = torch.arange(block_tables.shape[1] * block_tokens, device=q.device)
    is_past = places < lengths[:, None]  # (B, S)
    blocks = block_tables.where(is_past[:, ::block_tokens], 0).long()
    k, v = (
        store[blocks].flatten(1, 2).transpose(1, 2).masked_fill(~is_past[:, None, :, None], 0)
        for store in (keys, values)
    )  # (B, G, S, K)
    mask = is_past[:, None, None]  # (B, 1, 1, S)
    out = functional.scaled_dot_product_attention(
        q[:, :, None], k, v, attn_mask=mask, scale=scale, enable_gqa=True
    )
    return out[:, :, 0].masked_fill((lengths == 0)[:, None, None], 0)


def paged_attention_twin(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    block_tables: Tensor,
    lengths: Tensor,
    scale: float,
) -> Tensor:
    """Compute the same with torch's own operations, one request after another."""
    q = q.contiguous()
    out = torch.zeros_like(q)
    num_kv_heads = keys.shape[2]
    for row, (table, length) in enumerate(zip(block_tables, lengths.tolist(), strict=True)):
        if length == 0:
            continue
        blocks = table[: -(-length // keys.shape[1])].long()
        past_keys = keys[blocks].flatten(0, 1)[:length].float()  # (S, G, K)
        past_values = values[blocks].flatten(0, 1)[:length].float()  # (S, G, K)
        query = q[row].float().view(num_kv_heads, -1, q.shape[-1])  # (G, R, K)
        scores = torch.einsum("grk,sgk->grs", query * scale, past_keys)
        weights = scores.softmax(-1)
        out[row] = torch.einsum("grs,sgk->grk", weights, past_values).flatten(0, 1).to(q.dtype)
    return out
