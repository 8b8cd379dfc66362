"""Configuration of Qwen2 text models.

Source: transformers 5.23 `Qwen2Config`.
Differs: sliding windows are refused; no released checkpoint of this family uses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from myna.models.config import TextConfig, check_full_attention, read_gguf, read_hf
from myna.models.fields import Fields
from myna.models.rope_fields import Tensors


@dataclass(frozen=True, kw_only=True)
class Config(TextConfig):
    """Describe one Qwen2 model; the family adds nothing to the common fields."""

    yarn_original: ClassVar[int] = 32768  # the model cards of Qwen2.5 and QwQ

    @classmethod
    def from_hf(cls, values: Mapping[str, object]) -> Self:
        """Read a config.json."""
        fields = Fields(values, source="config.json")
        common = read_hf(fields, max_position_embeddings=32768)
        check_full_attention(fields, num_layers=common["num_layers"])
        return cls(**common, ignored=fields.unread())

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, object], checkpoint: Tensors) -> Self:
        """Read the metadata of a GGUF file."""
        fields = Fields(metadata, source="the GGUF header", prefix="qwen2.")
        return cls(**read_gguf(fields, checkpoint))
