"""Keys and values of voices, each growing by itself, attended to together.

Not here: which rows of a step belong to whom (speaker).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import torch
from torch import Tensor
from torch.nn import functional

from myna.layers.cache import LayerCache
from myna.speech.protocols import CodeDecoder

FIRST_CAPACITY = 256


class VoiceCache:
    """Keep one voice's keys and values of all layers.

    What a step writes counts only once `length` is raised, so a failed step can be made again.

    Attributes:
        length: positions that count.
    """

    def __init__(self, decoder: CodeDecoder) -> None:
        shape = (decoder.num_layers, 2, decoder.num_kv_heads, 0, decoder.head_width)
        self._store = torch.empty(shape, dtype=decoder.dtype)  # (L, 2, G, S, K)
        self.length = 0

    @property
    def num_bytes(self) -> int:
        """Count the bytes that it takes."""
        return self._store.nbytes

    def reserve(self, num_more: int) -> None:
        """Make room for more positions; what is not yet written is not a number."""
        wanted, capacity = self.length + num_more, self._store.shape[3]
        if wanted <= capacity:
            return
        more = max(FIRST_CAPACITY, wanted, 2 * capacity) - capacity
        self._store = functional.pad(self._store, (0, 0, 0, more), value=nan)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Write T new positions, and let each see its past and itself: (T, H, K) -> (T, H, K)."""
        stop = self.length + len(k)
        keys, values = self._store[layer]
        keys[:, self.length : stop] = k.transpose(0, 1)
        values[:, self.length : stop] = v.transpose(0, 1)
        assert len(q) == 1 or self.length == 0, "several positions come at the beginning only"
        out = functional.scaled_dot_product_attention(
            q.transpose(0, 1)[None],  # (1, H, T, K)
            keys[None, :, :stop],
            values[None, :, :stop],
            is_causal=len(q) > 1,
            enable_gqa=True,
        )
        return out[0].transpose(0, 1)


class _Layer:
    """Attend in one layer, for one step; satisfies `LayerCache`."""

    def __init__(self, layer: int, caches: Sequence[VoiceCache], sizes: list[int]) -> None:
        self._layer = layer
        self._caches = caches
        self._sizes = sizes

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `LayerCache`."""
        parts = zip(*(torch.split(x, self._sizes) for x in (q, k, v)), strict=True)
        return torch.cat(
            [
                cache.attend(self._layer, *qkv)
                for cache, qkv in zip(self._caches, parts, strict=True)
            ]
        )


def joined(
    caches: Sequence[VoiceCache], sizes: Sequence[int], *, num_layers: int
) -> list[LayerCache]:
    """Make what the layers attend through in a step.

    Args:
        caches: of the voices, in packing order; room is made in them.
        sizes: new positions of each.
        num_layers: of the decoder.
    """
    for cache, size in zip(caches, sizes, strict=True):
        cache.reserve(size)
    return [_Layer(layer, caches, list(sizes)) for layer in range(num_layers)]
