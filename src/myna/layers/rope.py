"""Rotary position embedding: which angles a model turns its heads by, and the turning.

Not here: positions on several axes (the omni models'), how config files spell all this
(models.config).
Source: arXiv:2104.09864 (RoPE), arXiv:2309.00071 (YaRN); transformers 5.23 `modeling_rope_utils`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Interpolation:
    """Divide every frequency by `factor`; files call it linear. Source: arXiv:2306.15595."""

    factor: float


@dataclass(frozen=True, kw_only=True)
class Llama3:
    """Divide low frequencies by `factor`, keep high ones, and blend between the two bounds."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context: int


@dataclass(frozen=True, kw_only=True)
class Yarn:
    """Stretch `original_context` by `factor`: slow pairs are divided, fast ones kept, attention
    sharpened.

    `attention_factor` multiplies cos and sin; None means the paper's 0.1 ln(factor) + 1.
    """

    factor: float
    original_context: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    truncate: bool = True


@dataclass(frozen=True, kw_only=True)
class Divisors:
    """Divide frequency i by `values[i]`: so GGUF files store llama3 scaling."""

    values: tuple[float, ...]


Scaling = Interpolation | Llama3 | Yarn | Divisors


@dataclass(frozen=True, kw_only=True)
class RopeConfig:
    """Say how positions become angles."""

    theta: float
    scaling: Scaling | None = None

    @property
    def attention_factor(self) -> float:
        """Give the number that multiplies cos and sin."""
        if not isinstance(self.scaling, Yarn):
            return 1.0
        if self.scaling.attention_factor is not None:
            return self.scaling.attention_factor
        return 0.1 * math.log(self.scaling.factor) + 1.0 if self.scaling.factor > 1 else 1.0


def inverse_frequencies(config: RopeConfig, head_width: int) -> Tensor:
    """Return the angle per position of each pair of a head: (K/2,) float32, on the CPU."""
    exponents = torch.arange(0, head_width, 2, dtype=torch.float32, device="cpu") / head_width
    plain = 1.0 / config.theta**exponents
    match config.scaling:
        case None:
            return plain
        case Interpolation(factor=factor):
            return plain / factor
        case Divisors(values=values):
            return plain / torch.tensor(values, dtype=torch.float32, device="cpu")
        case Llama3():
            return _llama3(plain, config.scaling)
        case Yarn():
            return _yarn(plain, config.scaling, config.theta)


def _llama3(plain: Tensor, scaling: Llama3) -> Tensor:
    turns = scaling.original_context * plain / (2 * math.pi)  # in the original context
    span = scaling.high_freq_factor - scaling.low_freq_factor
    keep = ((turns - scaling.low_freq_factor) / span).clamp(0, 1)
    return (1 - keep) * plain / scaling.factor + keep * plain


def _yarn(plain: Tensor, scaling: Yarn, theta: float) -> Tensor:
    pairs = plain.shape[0]
    low, high = (
        pairs * math.log(scaling.original_context / (turns * 2 * math.pi)) / math.log(theta)
        for turns in (scaling.beta_fast, scaling.beta_slow)
    )  # the pairs that turn so often within the original context
    if scaling.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, 2 * pairs - 1)
    if low == high:
        high += 0.001  # the reference's guard against a division by zero
    ramp = ((torch.arange(pairs, dtype=torch.float32, device="cpu") - low) / (high - low)).clamp(
        0, 1
    )
    return plain / scaling.factor * ramp + plain * (1 - ramp)


@dataclass(frozen=True)
class Rope:
    """Hold the rotations of N positions, computed once a step for all layers.

    Attributes:
        cos: (N, 1, K), both halves alike.
        sin: (N, 1, K), the first half negated, so that turning needs no negation.
    """

    cos: Tensor
    sin: Tensor

    def rotate(self, x: Tensor) -> Tensor:
        """Turn pairs (i, i + K/2) of each head: (N, H, K) -> (N, H, K).

        Products and sum are rounded one by one, so a token's result does not depend on its
        neighbours in the batch.
        """
        return x * self.cos + x.roll(x.shape[-1] // 2, -1) * self.sin


class RopeTable:
    """Turn positions into rotations; its numbers follow the positions to their device, and stay."""

    def __init__(self, config: RopeConfig, head_width: int) -> None:
        self.frequencies = inverse_frequencies(config, head_width)
        self.factor = config.attention_factor

    def at(self, positions: Tensor, dtype: torch.dtype) -> Rope:
        """Return the rotations of (N,) positions; angles are float32, cos and sin of `dtype`."""
        self.frequencies = self.frequencies.to(positions.device)
        angles = positions.float()[:, None, None] * self.frequencies  # (N, 1, K/2)
        cos, sin = angles.cos() * self.factor, angles.sin() * self.factor
        return Rope(
            torch.cat((cos, cos), -1).to(dtype),  # (N, 1, K)
            torch.cat((-sin, sin), -1).to(dtype),  # (N, 1, K)
        )
