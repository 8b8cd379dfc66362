"""Qwen3-Omni as the registry knows it: a text decoder, with all else in hand.

Speech is no part of it; it is loaded apart (weights), and only when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import prod
from typing import NoReturn, Self

import torch

from myna.core.errors import Unsupported
from myna.layers.decoder import TextDecoder
from myna.models.costs import Costs, text_costs
from myna.models.family import Family
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.decoder import OmniDecoder
from myna.models.qwen3_omni.decoder_config import DecoderConfig
from myna.models.qwen3_omni.tensors import tensors as all_tensors
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import THINKER_RULES
from myna.models.rope_fields import Tensors
from myna.weights.rules import Rule

PREFIX = "thinker."


@dataclass(frozen=True, kw_only=True)
class OmniConfig(DecoderConfig):
    """Describe the thinker's decoder, and bring along the model that it belongs to.

    Attributes:
        source: the whole model, as its file describes it.
    """

    source: Config

    @classmethod
    def from_hf(cls, values: Mapping[str, object]) -> OmniConfig:
        """Read a config.json."""
        whole = Config.from_hf(values)
        text = whole.thinker.text
        common = {field.name: getattr(text, field.name) for field in fields(text)}
        return cls(**{**common, "dtype": whole.dtype, "ignored": whole.ignored}, source=whole)

    @property
    def whole(self) -> Config:
        """Describe the whole model, with what was changed of its decoder."""
        return replace(self.source, thinker=replace(self.source.thinker, text=self))

    def with_head(self, *, stored: bool) -> Self:
        """Keep the head: no released model is tied."""
        del stored
        return replace(self, tied=False)


def thinker(config: OmniConfig) -> Thinker:
    """Make all that reads and writes, on the meta device: shapes without memory."""
    with torch.device("meta"):
        return Thinker(config.whole.thinker)


def _network(config: OmniConfig) -> TextDecoder:
    return OmniDecoder(config)


def _rules(config: OmniConfig) -> tuple[Rule, ...]:
    del config
    return THINKER_RULES


def _tensors(config: OmniConfig) -> dict[str, tuple[int, ...]]:
    return all_tensors(config.whole)


def _costs(config: OmniConfig) -> Costs:
    """Count the thinker; encoders are held, but no token of text asks anything of them."""
    held = {
        name.removeprefix(PREFIX): shape
        for name, shape in _tensors(config).items()
        if name.startswith(PREFIX)
    }
    text = {name: shape for name, shape in held.items() if name.startswith(("model.", "lm_head."))}
    costs = text_costs(
        config, text, num_experts=config.moe.num_experts, num_chosen=config.moe.num_chosen
    )
    return replace(costs, parameters=sum(prod(shape) for shape in held.values()))


def _no_gguf(*args: object) -> NoReturn:
    raise Unsupported(
        "Qwen3-Omni was asked for as a GGUF file, which cannot be read; load its folder."
    )


def _config_from_gguf(metadata: Mapping[str, object], checkpoint: Tensors) -> OmniConfig:
    return _no_gguf(metadata, checkpoint)


FAMILY = Family(
    name="qwen3_omni",
    model_types=("qwen3_omni_moe",),
    architectures=(),
    config_from_hf=OmniConfig.from_hf,
    config_from_gguf=_config_from_gguf,
    network=_network,
    rules=_rules,
    gguf_rules=_no_gguf,
    tensors=_tensors,
    count=_costs,
)
