"""What the engine asks of a network, and of those who steer a choice of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from myna.layers.cache import LayerCache, PackedBatch


class Decoder(Protocol):
    """Predict tokens, given a packed batch and one cache a layer."""

    @property
    def num_layers(self) -> int:
        """Count the layers, and so the caches `forward` wants."""
        ...

    @property
    def num_kv_heads(self) -> int:
        """Count the key/value heads of each layer."""
        ...

    @property
    def head_width(self) -> int:
        """Give the width K of a head."""
        ...

    @property
    def vocab_size(self) -> int:
        """Count the rows of the logits."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Give the dtype of activations, keys and values."""
        ...

    @property
    def device(self) -> torch.device:
        """Tell where the weights are; batches and caches are brought there."""
        ...

    def forward(self, batch: PackedBatch, caches: Sequence[LayerCache]) -> Tensor:
        """Run the layers; returns (N, D), after the final norm."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """Score the vocabulary: (R, D) chosen rows of the hidden states -> (R, V) float32."""
        ...


class TokenMask(Protocol):
    """Restrict which token may come next: one choice's constraint (a grammar, a schema)."""

    def mask(self, token_ids: Sequence[int]) -> Tensor | None:
        """Tell which tokens may follow the answer so far.

        Args:
            token_ids: the answer's tokens, in order; not the prompt's.

        Returns:
            (V,) bool, true where allowed, or shorter if the ids beyond its end are forbidden;
            `None` allows all.
        """
        ...

    def accept(self, token_id: int) -> None:
        """Follow the token that was chosen; called once for each token of the answer."""
        ...


class TokenOverride(Protocol):
    """Force tokens in place of chosen ones: the end of a reasoning block whose budget is spent."""

    def next_forced(self, token_ids: Sequence[int]) -> int | None:
        """Give the token that must follow the answer so far, or `None` to let one be chosen."""
        ...
