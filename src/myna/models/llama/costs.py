"""What a Llama model costs."""

from __future__ import annotations

from myna.models.costs import Costs, text_costs
from myna.models.llama.config import Config
from myna.models.llama.weights import tensors


def costs(config: Config) -> Costs:
    """Count parameters, bytes and arithmetic."""
    return text_costs(config, tensors(config))
