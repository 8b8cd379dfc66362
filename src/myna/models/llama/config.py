"""Configuration of Llama text models.

Source: transformers 5.23 `LlamaConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from myna.models.config import TextConfig, read_gguf, read_hf
from myna.models.fields import Fields
from myna.models.rope_fields import Tensors


@dataclass(frozen=True, kw_only=True)
class Config(TextConfig):
    """Describe one Llama model.

    Attributes:
        attention_bias: whether q, k, v and o have biases, all four together.
        mlp_bias: whether gate, up and down have biases, all three together.
    """

    attention_bias: bool = False
    mlp_bias: bool = False

    @classmethod
    def from_hf(cls, values: Mapping[str, object]) -> Self:
        """Read a config.json."""
        fields = Fields(values, source="config.json")
        common = read_hf(fields, max_position_embeddings=2048)
        return cls(
            **common,
            attention_bias=fields.boolean("attention_bias", default=False),
            mlp_bias=fields.boolean("mlp_bias", default=False),
            ignored=fields.unread(),
        )

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, object], checkpoint: Tensors) -> Self:
        """Read the metadata of a GGUF file; biases are there when their tensors are."""
        fields = Fields(metadata, source="the GGUF header", prefix="llama.")
        if fields.integer("expert_count", low=0, default=0):
            raise fields.refuse("expert_count", "0 (Mixtral's experts are not supported)")
        return cls(
            **read_gguf(fields, checkpoint),
            attention_bias="blk.0.attn_q.bias" in checkpoint.tensors,
            mlp_bias="blk.0.ffn_gate.bias" in checkpoint.tensors,
        )
