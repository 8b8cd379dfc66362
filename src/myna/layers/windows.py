"""Attention within windows: neighbours attend to one another in both directions, and to no others.

All encoders use it: some seconds of sound, one time step of a video, or a square of a picture are a
window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.layers.linear import Linear
from myna.layers.rope import Rope


@dataclass(frozen=True)
class Run:
    """Describe windows of the same length that follow one another."""

    num_windows: int
    length: int


def runs(lengths: Iterable[int]) -> tuple[Run, ...]:
    """Gather the windows' lengths, in order, into as few runs as possible."""
    return tuple(Run(len(list(group)), length) for length, group in groupby(lengths))


def attend(q: Tensor, k: Tensor, v: Tensor, windows: tuple[Run, ...]) -> Tensor:
    """Let every query attend to its own window.

    Args:
        q: (N, H, K).
        k: (N, H, K).
        v: (N, H, K).
        windows: they cover the N tokens in order.

    Returns:
        (N, H, K): softmax(q k^T / sqrt(K)) v.
    """
    out = []
    sizes = [run.num_windows * run.length for run in windows]
    parts = zip(*(torch.split(x, sizes) for x in (q, k, v)), windows, strict=True)
    for *qkv, run in parts:
        heads = (x.unflatten(0, (run.num_windows, run.length)).transpose(1, 2) for x in qkv)
        mixed = _mix(*heads)  # (B, H, T, K)
        out.append(mixed.transpose(1, 2).flatten(0, 1))
    return torch.cat(out)


def _mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Let queries attend to all keys: (B, H, T, K)."""
    if not q.requires_grad:
        return functional.scaled_dot_product_attention(q, k, v)
    # With the backward pass, the fused kernel takes six times as long in bfloat16 on a processor
    # (torch 2.13).
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    mixed: Tensor = scores.softmax(-1) @ v
    return mixed


class WindowAttention(nn.Module):
    """Attention of the vision encoders: heads turned by their places, queries within a window."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = Linear(width, 3 * width, bias=True)
        self.proj = Linear(width, width, bias=True)

    def forward(self, x: Tensor, rope: Rope, windows: tuple[Run, ...]) -> Tensor:
        """Map (P, D) to (P, D)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).unbind(1)  # (P, H, K)
        q, k = (rope.rotate(heads.float()).to(x.dtype) for heads in (q, k))
        out: Tensor = self.proj(attend(q, k, v, windows).flatten(-2))
        return out
