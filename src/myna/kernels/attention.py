"""Attention over a paged cache: of one token of each request, or of many tokens of one request.

Not here: where keys and values are written. Axis letters beside the project's: R query heads that
share one key/value head; H = G * R.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from myna.kernels.cached import CACHE_DTYPES, heads_of, stored_width
from myna.kernels.fused import HAS_MATRIX_UNIT
from myna.kernels.native import DTYPES, Native, is_plain, native

# The widest head that the kernels have room for.
MAX_HEAD_WIDTH = 512
# Of prompts, heads must fill whole vectors.
HEAD_MULTIPLE = 16
# Where pairs of bfloat16 are multiplied by one instruction, prompts outrun torch's own attention;
# with a matrix unit that is faster.
PROMPT_LEVEL = "avx512_bf16"


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
        keys: (num_blocks, block_tokens, G, K) of q's dtype, or packed (see `kernels.cached`); H is
            a multiple of G, query head h reads key head h // (H // G).
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
    assert keys.dtype == values.dtype, (keys.dtype, values.dtype)
    assert keys.dtype in (q.dtype, torch.uint8), (q.dtype, keys.dtype)
    assert block_tables.dtype == lengths.dtype == torch.int32, (block_tables.dtype, lengths.dtype)
    assert keys.shape == values.shape, (keys.shape, values.shape)
    assert keys.shape[-1] == stored_width(width, keys.dtype), (q.shape, keys.shape)
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
        CACHE_DTYPES[keys.dtype],
    )
    return out


def prompt_attention(
    q: Tensor, keys: Tensor, values: Tensor, *, past: slice | Tensor, scale: float
) -> Tensor | None:
    """Let successive tokens of one request attend to its past and, causally, to each other.

    Scores, softmax and sums are in float32. A token's result depends on its own past alone: neither
    on the chunk that it comes in nor on the number of threads.

    Args:
        q: (T, H, K), the request's last tokens.
        keys: (slots, G, K); H is a multiple of G, query head h reads key head h // (H // G).
        values: the same shape.
        past: the S slots to read, the T new ones at the end.
        scale: what scores are multiplied by before the softmax, more than 0.

    Returns:
        (T, H, K); `None` where the kernel cannot serve, or others are faster.
    """
    kernels = native()
    if kernels is None or kernels.name != PROMPT_LEVEL or HAS_MATRIX_UNIT:
        return None
    if q.dtype is not torch.bfloat16 or not all(map(is_plain, (keys, values))):
        return None
    width = q.shape[-1]
    if width > MAX_HEAD_WIDTH or width % HEAD_MULTIPLE or not q.is_cpu or q.requires_grad:
        return None
    return prompt_attention_native(kernels, q, keys, values, past=past, scale=scale)


def prompt_attention_native(
    kernels: Native,
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    past: slice | Tensor,
    scale: float,
) -> Tensor:
    """Run the kernel itself; the caller knows that all are plain bfloat16 of a width that fits."""
    num_tokens, num_heads, width = q.shape
    num_kv_heads = keys.shape[1]
    assert keys.dtype == values.dtype == q.dtype == torch.bfloat16, (q.dtype, keys.dtype)
    assert keys.shape == values.shape, (keys.shape, values.shape)
    assert keys.shape[-1] == width, (q.shape, keys.shape)
    assert num_heads % num_kv_heads == 0, (q.shape, keys.shape)
    if isinstance(past, slice):
        first, length, slots = past.start, past.stop - past.start, None
    else:
        first, length, slots = 0, len(past), past.contiguous()
        assert slots.dtype is torch.int64, slots.dtype
    assert length >= num_tokens, (length, num_tokens)
    if q.stride()[1:] != (width, 1):
        q = q.contiguous()
    num_bytes = kernels.prompt_attention_scratch(length, num_kv_heads, width)
    scratch = torch.empty(num_bytes, dtype=torch.uint8)
    out = torch.empty(q.shape, dtype=q.dtype)
    kernels.prompt_attention(
        kernels.level,
        torch.get_num_threads(),
        q.data_ptr(),
        keys.data_ptr(),
        values.data_ptr(),
        None if slots is None else slots.data_ptr(),
        out.data_ptr(),
        scratch.data_ptr(),
        num_tokens,
        length,
        num_kv_heads,
        num_heads // num_kv_heads,
        width,
        q.stride(0),
        first,
        scale,
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
        heads_of(store[blocks], q.dtype).flatten(1, 2).transpose(1, 2) for store in (keys, values)
    )  # (B, G, S, K)
    k, v = (x.masked_fill(~is_past[:, None, :, None], 0) for x in (k, v))
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
        past_keys, past_values = (
            heads_of(store[blocks].flatten(0, 1)[:length], torch.float32)
            for store in (keys, values)
        )  # (S, G, K)
        query = q[row].float().view(num_kv_heads, -1, q.shape[-1])  # (G, R, K)
        scores = torch.einsum("grk,sgk->grs", query * scale, past_keys)
        weights = scores.softmax(-1)
        out[row] = torch.einsum("grs,sgk->grk", weights, past_values).flatten(0, 1).to(q.dtype)
    return out
