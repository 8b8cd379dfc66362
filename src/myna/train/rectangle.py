"""Attention while training: sequences of one length, side by side, none of them cached."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


class Rectangle:
    """Satisfy `LayerCache` for B padded sequences that are read from beginning to end at once."""

    def __init__(self, num_sequences: int) -> None:
        self.num_sequences = num_sequences

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Let every query attend to its own sequence's past and itself: (B*T, H, K)."""
        q, k, v = (x.unflatten(0, (self.num_sequences, -1)).transpose(1, 2) for x in (q, k, v))  # type: ignore[no-untyped-call]
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return out.transpose(1, 2).flatten(0, 1)
