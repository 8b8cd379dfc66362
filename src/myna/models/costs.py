"""What a model costs, from its shape alone: parameters, bytes to read for each token, cache,
arithmetic.

Not here: what a machine can do with that (pipeline.fit).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from myna.models.config import TextConfig


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Count what one model holds and what one token asks of it.

    Attributes:
        parameters: all of them.
        parameters_read: read from memory to decode one token of one request: of the embedding only
            its row, and only the experts that the token meets.
        kv_values: numbers that each position adds to the caches of all layers.
        flops: multiplications and additions of one token, attention to the past apart.
        flops_per_position: more of them for each cached position.
    """

    parameters: int
    parameters_read: int
    kv_values: int
    flops: int
    flops_per_position: int

    def bytes_read(self, bytes_per_parameter: float) -> float:
        """Give the bytes of weights that decoding one token reads."""
        return self.parameters_read * bytes_per_parameter

    def kv_bytes(self, bytes_per_value: float) -> float:
        """Give the bytes that each position takes in the caches."""
        return self.kv_values * bytes_per_value


def text_costs(
    config: TextConfig,
    tensors: Mapping[str, tuple[int, ...]],
    *,
    num_experts: int = 1,
    num_chosen: int = 1,
) -> Costs:
    """Count a text decoder from the tensors of its released form.

    Args:
        config: gives heads and layers.
        tensors: names and shapes; expert tensors have `.experts.` in their names.
        num_experts: X, of each layer that has experts.
        num_chosen: how many of them read a token.
    """
    sizes = {name: prod(shape) for name, shape in tensors.items()}
    parameters = sum(sizes.values())
    experts = sum(size for name, size in sizes.items() if ".experts." in name)
    # A tied embedding is read whole, as the head.
    unread = sizes["model.embed_tokens.weight"] if "lm_head.weight" in sizes else 0
    parameters_read = parameters - unread - experts + experts * num_chosen // num_experts
    return Costs(
        parameters=parameters,
        parameters_read=parameters_read,
        kv_values=2 * config.num_layers * config.num_kv_heads * config.head_width,
        flops=2 * parameters_read,
        flops_per_position=4 * config.num_layers * config.num_heads * config.head_width,
    )
