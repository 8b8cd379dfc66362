"""Qwen3: a text decoder that normalises each query and key head; its layers are dense or mixtures
of experts.

Not here: caches and batching (engine), how files become these parameters (weights.py).
Source: transformers 5.23 `Qwen3ForCausalLM`, `Qwen3MoeForCausalLM`; arXiv:2505.09388.
Differs: tokens are packed (N, D); q, k and v are one matrix, and so are gate and up.
"""

from __future__ import annotations

from torch import Tensor, nn

from myna.layers.cache import LayerCache
from myna.layers.decoder import DecoderLayer, TextDecoder
from myna.layers.linear import Linear
from myna.layers.mlp import GatedMlp
from myna.layers.moe import SparseMoe
from myna.layers.norm import RmsNorm
from myna.layers.rope import Rope
from myna.models.qwen3.config import Config


class Attention(nn.Module):
    """Grouped-query attention with RMSNorm on each query and key head."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.num_kv_heads = config.num_kv_heads
        self.head_width = config.head_width
        bias = config.attention_bias
        num_rows = (config.num_heads + 2 * config.num_kv_heads) * config.head_width
        self.qkv_proj = Linear(config.width, num_rows, bias=bias)
        self.o_proj = Linear(config.num_heads * config.head_width, config.width, bias=bias)
        self.q_norm = RmsNorm(config.head_width, eps=config.norm_eps)
        self.k_norm = RmsNorm(config.head_width, eps=config.norm_eps)

    def forward(self, x: Tensor, rope: Rope, cache: LayerCache) -> Tensor:
        """Let every token attend to its own request's past.

        Args:
            x: (N, D) hidden states of all requests, packed.
            rope: rotations for the N positions.
            cache: this layer's keys and values; the new ones are appended to it.

        Returns:
            (N, D), to be added to the residual stream.
        """
        heads = self.qkv_proj(x).unflatten(-1, (-1, self.head_width))  # (N, H+2*G, K)
        q, k, v = heads.split((self.num_heads, self.num_kv_heads, self.num_kv_heads), dim=1)
        out = cache.attend(rope.rotate(self.q_norm(q)), rope.rotate(self.k_norm(k)), v)  # (N, H, K)
        return self.o_proj(out.flatten(-2))


def feed_forward(config: Config, layer_idx: int) -> GatedMlp | SparseMoe:
    """Make the feed-forward network of one layer: experts where the configuration says so."""
    if config.moe is None or layer_idx not in config.moe.layers:
        return GatedMlp(config.width, config.hidden_width)
    return SparseMoe(
        config.width,
        config.moe.hidden_width,
        num_experts=config.moe.num_experts,
        num_chosen=config.moe.num_chosen,
        renormalise=config.moe.renormalise,
    )


def build(config: Config) -> TextDecoder:
    """Make the network, its parameters empty."""
    layers = (
        DecoderLayer(
            Attention(config), feed_forward(config, i), width=config.width, eps=config.norm_eps
        )
        for i in range(config.num_layers)
    )
    return TextDecoder(
        layers,
        vocab_size=config.vocab_size,
        width=config.width,
        num_kv_heads=config.num_kv_heads,
        head_width=config.head_width,
        eps=config.norm_eps,
        rope=config.rope,
        tied=config.tied is True,
    )
