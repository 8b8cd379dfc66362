"""Configuration of Qwen3 text models, dense and mixture-of-experts.

Source: transformers 5.23 `Qwen3Config`, `Qwen3MoeConfig`.
Differs: sliding windows are refused; no released checkpoint of this family uses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from myna.models.config import (
    MAX_WIDTH,
    TextConfig,
    check_full_attention,
    read_gguf,
    read_hf,
)
from myna.models.fields import Fields
from myna.models.rope_fields import Tensors

MAX_EXPERTS = 2**16  # of all layers together, twice what the largest released model has


@dataclass(frozen=True, kw_only=True)
class MoeConfig:
    """Describe the layers that have experts.

    Attributes:
        hidden_width: F, of each expert.
        num_chosen: experts that read each token.
        renormalise: whether the chosen experts' probabilities are scaled to sum to one.
        layers: which layers have experts; the others have one feed-forward network.
    """

    num_experts: int
    num_chosen: int
    hidden_width: int
    renormalise: bool
    layers: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Config(TextConfig):
    """Describe one Qwen3 model.

    Attributes:
        attention_bias: whether q, k, v and o have biases, all four together.
        moe: the experts, or None for a dense model.
    """

    yarn_original: ClassVar[int] = 32768  # the model cards of Qwen3

    attention_bias: bool = False
    moe: MoeConfig | None = None

    @classmethod
    def from_hf(cls, values: Mapping[str, object]) -> Self:
        """Read a config.json."""
        fields = Fields(values, source="config.json")
        is_moe = fields.text("model_type", default="qwen3") == "qwen3_moe"
        # Only the dense class has a default head width of its own.
        defaults = {} if is_moe else {"head_dim": 128}
        common = read_hf(fields, max_position_embeddings=32768, **defaults)
        check_full_attention(fields, num_layers=common["num_layers"])
        return cls(
            **common,
            attention_bias=fields.boolean("attention_bias", default=False),
            moe=_moe_from_hf(fields, common["num_layers"]) if is_moe else None,
            ignored=fields.unread(),
        )

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, object], checkpoint: Tensors) -> Self:
        """Read the metadata of a GGUF file."""
        is_moe = metadata.get("general.architecture") == "qwen3moe"
        prefix = "qwen3moe." if is_moe else "qwen3."
        fields = Fields(metadata, source="the GGUF header", prefix=prefix)
        common = read_gguf(fields, checkpoint)
        moe = _moe_from_gguf(fields, common["num_layers"]) if is_moe else None
        return cls(**common, attention_bias="blk.0.attn_q.bias" in checkpoint.tensors, moe=moe)


def _moe_from_hf(fields: Fields, num_layers: int) -> MoeConfig:
    # transformers 5 writes `num_local_experts` under its attribute map; released files say
    # `num_experts`.
    key = "num_experts" if fields.get("num_experts") is not None else "num_local_experts"
    num_experts = fields.integer(key, high=MAX_EXPERTS // num_layers)
    step = fields.integer("decoder_sparse_step", high=num_layers, default=1)
    dense = set(fields.integers("mlp_only_layers", high=num_layers - 1))
    return MoeConfig(
        num_experts=num_experts,
        num_chosen=fields.integer("num_experts_per_tok", high=num_experts),
        hidden_width=fields.integer("moe_intermediate_size", high=MAX_WIDTH),
        renormalise=fields.boolean("norm_topk_prob", default=False),
        layers=frozenset(i for i in range(num_layers) if (i + 1) % step == 0) - dense,
    )


def _moe_from_gguf(fields: Fields, num_layers: int) -> MoeConfig:
    num_experts = fields.integer("expert_count", high=MAX_EXPERTS // num_layers)
    return MoeConfig(
        num_experts=num_experts,
        num_chosen=fields.integer("expert_used_count", high=num_experts),
        hidden_width=fields.integer("expert_feed_forward_length", high=MAX_WIDTH),
        renormalise=True,  # the format has no key for it; every released model does
        layers=frozenset(range(num_layers)),
    )
