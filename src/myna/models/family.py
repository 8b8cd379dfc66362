"""What a family is to the rest of the house: how its checkpoints become a network.

Not here: which families there are (registry).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from myna.layers.decoder import TextDecoder
from myna.models.config import TextConfig
from myna.models.costs import Costs
from myna.models.rope_fields import Tensors
from myna.weights.rules import Rule

OwnConfig = Any  # a family's own Config; only that family's functions look inside


@dataclass(frozen=True, kw_only=True)
class Family:
    """Name one family's parts.

    Attributes:
        name: what users see.
        model_types: `model_type` values of config.json.
        architectures: `general.architecture` values of GGUF files.
        config_from_hf: reads a parsed config.json.
        config_from_gguf: reads GGUF metadata; the checkpoint tells shapes and a few small tensors.
        network: makes the modules, on the current device.
        rules: map the released file names to parameters.
        gguf_rules: map GGUF's.
        tensors: list the released tensors and their shapes.
        count: count parameters, bytes and arithmetic.
    """

    name: str
    model_types: tuple[str, ...]
    architectures: tuple[str, ...]
    config_from_hf: Callable[[Mapping[str, object]], TextConfig]
    config_from_gguf: Callable[[Mapping[str, object], Tensors], TextConfig]
    network: Callable[[OwnConfig], TextDecoder]
    rules: Callable[[OwnConfig], tuple[Rule, ...]]
    gguf_rules: Callable[[OwnConfig], tuple[Rule, ...]]
    tensors: Callable[[OwnConfig], dict[str, tuple[int, ...]]]
    count: Callable[[OwnConfig], Costs]


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """Hold all that loading one checkpoint takes, settled before any weight is read."""

    family: Family
    config: TextConfig
    rules: tuple[Rule, ...]

    def build(self) -> TextDecoder:
        """Make the network on the meta device: shapes without memory, for a loader to fill."""
        with torch.device("meta"):
            return self.family.network(self.config)

    def costs(self) -> Costs:
        """Count what the model costs."""
        return self.family.count(self.config)

    def with_yarn(self, *, factor: float, original: int | None = None) -> Blueprint:
        """Return the same with the context stretched; see `TextConfig.with_yarn`."""
        return replace(self, config=self.config.with_yarn(factor=factor, original=original))
