"""What a Qwen3 model costs; of a mixture of experts, a token reads the chosen ones only."""

from __future__ import annotations

from myna.models.costs import Costs, text_costs
from myna.models.qwen3.config import Config
from myna.models.qwen3.weights import tensors


def costs(config: Config) -> Costs:
    """Count parameters, bytes and arithmetic."""
    if config.moe is None:
        return text_costs(config, tensors(config))
    return text_costs(
        config,
        tensors(config),
        num_experts=config.moe.num_experts,
        num_chosen=config.moe.num_chosen,
    )
