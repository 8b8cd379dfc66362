"""Attention within windows: neighbours attend to one another in both directions, and to no others.

Both encoders use it: eight seconds of sound, or one time step of a picture or video, are a window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional


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
    parts = zip(q.split(sizes), k.split(sizes), v.split(sizes), windows, strict=True)
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
    return scores.softmax(-1) @ v
