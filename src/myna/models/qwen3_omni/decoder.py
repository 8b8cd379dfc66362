"""The decoder that thinker and talker share: experts in every layer, positions on three axes, rows
that are no tokens.

Not here: what each of them adds (thinker, talker), caches and batching (engine).
Source: transformers 5.23 `Qwen3OmniMoeThinkerTextModel`, `Qwen3OmniMoeTalkerModel`;
arXiv:2509.17765 §2.
Differs: tokens are packed (N, D); q, k and v are one matrix, and so are gate and up; experts are
stacked.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from myna.layers.cache import LayerCache, PackedBatch
from myna.layers.decoder import DecoderLayer, TextDecoder
from myna.layers.fused import run_fused
from myna.layers.linear import Linear
from myna.layers.mlp import GatedMlp
from myna.layers.moe import SparseMoe
from myna.models.qwen3.model import Attention
from myna.models.qwen3_omni.decoder_config import DecoderConfig, MoeConfig
from myna.models.qwen3_omni.rope import MultiAxisRopeTable


class SharedExpertMoe(SparseMoe):
    """Add an expert that reads every token, weighted by a gate of its own."""

    def __init__(self, width: int, config: MoeConfig, *, shared_width: int) -> None:
        super().__init__(
            width,
            config.hidden_width,
            num_experts=config.num_experts,
            num_chosen=config.num_chosen,
            renormalise=config.renormalise,
        )
        self.shared_expert = GatedMlp(width, shared_width)
        self.shared_expert_gate = Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, D) to (N, D)."""
        share = self.shared_expert_gate(x).sigmoid()  # (N, 1)
        return super().forward(x) + share * self.shared_expert(x)


class OmniDecoder(TextDecoder):
    """Predict tokens; satisfies `engine.protocols.Decoder`."""

    def __init__(self, config: DecoderConfig) -> None:
        layers = (
            DecoderLayer(
                Attention(config), experts(config), width=config.width, eps=config.norm_eps
            )
            for _ in range(config.num_layers)
        )
        super().__init__(
            layers,
            vocab_size=config.vocab_size,
            width=config.width,
            num_kv_heads=config.num_kv_heads,
            head_width=config.head_width,
            eps=config.norm_eps,
            rope=config.rope,
            tied=False,
        )
        self.rope_table = MultiAxisRopeTable(
            config.rope, config.head_width, section=config.mrope_section
        )

    def forward(self, batch: PackedBatch, caches: Sequence[LayerCache]) -> Tensor:
        """Run the layers; returns (N, D), after the final norm. Writes to the batch's taps."""
        rope = self.rope_table.at(batch.positions, self.dtype)
        x = self.embed(batch)  # (N, D)
        if not (batch.added or batch.taps):
            done = run_fused(self.stack, x, rope, caches)
            if done is not None:
                return done
        for i, (layer, cache) in enumerate(zip(self.layers, caches, strict=True)):
            x = layer(x, rope, cache)
            for extra in batch.added[i] if i < len(batch.added) else ():
                x = x.index_add(0, extra.rows, extra.values.to(x.dtype))
            for tap in batch.taps:
                if tap.depth == i + 1:
                    tap.out.values.copy_(x.index_select(0, tap.out.rows))
        out: Tensor = self.norm(x)
        return out

    def embed(self, batch: PackedBatch) -> Tensor:
        """Look up the tokens, and put what replaces them in place: (N, D)."""
        x = self.embed_tokens(batch.token_ids, self.dtype)
        for rows in batch.replaced:
            x = x.index_copy(0, rows.rows, rows.values.to(x.dtype))
        return x


def experts(config: DecoderConfig) -> SparseMoe:
    """Make the feed-forward network of a layer."""
    moe = config.moe
    if moe.shared_width is not None:
        return SharedExpertMoe(config.width, moe, shared_width=moe.shared_width)
    return SparseMoe(
        config.width,
        moe.hidden_width,
        num_experts=moe.num_experts,
        num_chosen=moe.num_chosen,
        renormalise=moe.renormalise,
    )
