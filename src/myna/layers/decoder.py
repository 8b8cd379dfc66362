"""The frame that text decoders share: embed, run layers on a residual stream, norm, score the
vocabulary.

Not here: attention and feed-forward networks; each family hands its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from myna.kernels import packed
from myna.kernels.stack import DecodeStack
from myna.layers.cache import LayerCache, PackedBatch
from myna.layers.embedding import Embedding
from myna.layers.fused import fuse, run_fused
from myna.layers.linear import Linear
from myna.layers.norm import RmsNorm
from myna.layers.rope import Rope, RopeConfig, RopeTable


class DecoderLayer(nn.Module):
    """Add attention, then a feed-forward network, each behind a norm of its own, to the residual
    stream.

    Args:
        self_attn: called with (x, rope, cache).
        mlp: called with (x).
        width: D.
        eps: of both norms.
    """

    def __init__(self, self_attn: nn.Module, mlp: nn.Module, *, width: int, eps: float) -> None:
        super().__init__()
        self.input_layernorm = RmsNorm(width, eps=eps)
        self.self_attn = self_attn
        self.post_attention_layernorm = RmsNorm(width, eps=eps)
        self.mlp = mlp

    def forward(self, x: Tensor, rope: Rope, cache: LayerCache) -> Tensor:
        """Map (N, D) to (N, D)."""
        x = x + self.self_attn(self.input_layernorm(x), rope, cache)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class TextDecoder(nn.Module):
    """Predict tokens; satisfies `engine.protocols.Decoder`.

    With `tied`, the embedding matrix also scores the vocabulary and there is no `lm_head`.
    """

    def __init__(
        self,
        layers: Iterable[DecoderLayer],
        *,
        vocab_size: int,
        width: int,
        num_kv_heads: int,
        head_width: int,
        eps: float,
        rope: RopeConfig,
        tied: bool,
    ) -> None:
        super().__init__()
        self.embed_tokens = Embedding(vocab_size, width)
        self.layers = nn.ModuleList(layers)
        self.norm = RmsNorm(width, eps=eps)
        self.lm_head = None if tied else Linear(width, vocab_size)
        self.rope_table = RopeTable(rope, head_width)
        self.vocab_size = vocab_size
        self.num_kv_heads = num_kv_heads
        self.head_width = head_width
        self.stack: DecodeStack | None = None

    @property
    def num_layers(self) -> int:
        """Count the layers, and so the caches `forward` wants."""
        return len(self.layers)

    @property
    def dtype(self) -> torch.dtype:
        """Give the dtype of activations; norms are never packed, so theirs is it."""
        return self.norm.weight.dtype

    @property
    def device(self) -> torch.device:
        """Tell where the weights are, and with them all that they meet."""
        return self.norm.weight.device

    def fuse(self) -> None:
        """Run steps of single tokens as one call from now on, where the compiled kernels can.

        The weights must stay where they are.
        """
        self.stack = fuse(self.layers, self.norm)

    def forward(self, batch: PackedBatch, caches: Sequence[LayerCache]) -> Tensor:
        """Run the layers; returns (N, D), after the final norm."""
        rope = self.rope_table.at(batch.positions, self.dtype)
        x = self.embed_tokens(batch.token_ids, self.dtype)  # (N, D)
        done = run_fused(self.stack, x, rope, caches)
        if done is not None:
            return done
        for layer, cache in zip(self.layers, caches, strict=True):
            x = layer(x, rope, cache)
        out: Tensor = self.norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """Score the vocabulary: (R, D) chosen rows of the hidden states -> (R, V) float32."""
        head = self.embed_tokens if self.lm_head is None else self.lm_head
        return packed.linear(hidden, head.weight).float()
