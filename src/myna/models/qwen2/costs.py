"""What a Qwen2 model costs."""

from __future__ import annotations

from myna.models.costs import Costs, text_costs
from myna.models.qwen2.config import Config
from myna.models.qwen2.weights import tensors


def costs(config: Config) -> Costs:
    """Count parameters, bytes and arithmetic."""
    return text_costs(config, tensors(config))
