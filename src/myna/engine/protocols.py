"""What the engine asks of a network."""

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

    def forward(self, batch: PackedBatch, caches: Sequence[LayerCache]) -> Tensor:
        """Run the layers; returns (N, D), after the final norm."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """Score the vocabulary: (R, D) chosen rows of the hidden states -> (R, V) float32."""
        ...
