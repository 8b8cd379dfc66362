"""Attention of every token to every other, without a mask: thousands of tokens, few heads.

On a processor, torch's own kernel for bfloat16 reaches a quarter of what matrix products reach
there, and so its steps are taken one by one. Their scores must be stored, as bfloat16, and are kept
precise where it matters: a guess of each row's largest score is taken off before they are rounded,
which leaves the softmax as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

ROWS = 1024  # queries of a head at once
MAX_SCORES = 9_000_000  # at once, of as many heads; above it, caches are too small for them
GUESS_STRIDE = 16  # of the keys that the largest score is guessed from


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Let every query attend to all keys.

    Args:
        q: (H, N, K).
        k: (H, N, K).
        v: (H, N, K).

    Returns:
        (H, N, K): softmax(q k^T / sqrt(K)) v.
    """
    if q.dtype is torch.bfloat16 and q.is_cpu:
        return _attend_in_steps(q, k, v)
    return functional.scaled_dot_product_attention(q[None], k[None], v[None])[0]


def _attend_in_steps(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Multiply, guess and take off the largest, exponentiate, multiply; some heads at a time."""
    num_heads, num_tokens, width = q.shape
    scale = width**-0.5
    out = torch.empty(q.shape, dtype=q.dtype)
    step = max(1, MAX_SCORES // (min(ROWS, num_tokens) * num_tokens))
    for head in range(0, num_heads, step):
        heads = slice(head, head + step)
        keys = k[heads].mT  # (H, K, N)
        few = keys[:, :, ::GUESS_STRIDE].contiguous()
        for start in range(0, num_tokens, ROWS):
            rows = q[heads, start : start + ROWS]
            top = torch.bmm(rows, few).amax(-1, keepdim=True)
            scores = torch.baddbmm(top, rows, keys, beta=-scale, alpha=scale)
            out[heads, start : start + ROWS] = torch.bmm(scores.softmax(-1), v[heads])
    return out
