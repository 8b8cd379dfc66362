"""Attention while training: sequences of one length, side by side, none of them cached."""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor


class Rectangle:
    """Satisfy `LayerCache` for B padded sequences that are read from beginning to end at once.

    Written out: on a CPU without matrix units, torch's fused attention takes ten times as long for
    the gradients of sequences as short as these.
    """

    def __init__(self, num_sequences: int) -> None:
        self.num_sequences = num_sequences

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Let every query attend to its own sequence's past and itself: (B*T, H, K)."""
        q, k, v = (x.unflatten(0, (self.num_sequences, -1)).transpose(1, 2) for x in (q, k, v))  # type: ignore[no-untyped-call]
        length, width = q.shape[-2:]
        groups = k.shape[1]
        q = (q * width**-0.5).reshape(self.num_sequences, groups, -1, width)  # (B, G, H/G*T, K)
        shape = (self.num_sequences, groups, -1, length)
        scores = (q @ k.transpose(-1, -2)).float().view(*shape, length)  # (B, G, H/G, T, T)
        future = torch.full((length, length), -inf, device=q.device).triu(1)
        shares = (scores + future).softmax(-1).to(v.dtype).flatten(2, 3)
        out: Tensor = (shares @ v).view(*shape, width).flatten(1, 2)  # (B, H, T, K)
        return out.transpose(1, 2).flatten(0, 1)
