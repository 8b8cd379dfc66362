"""Modulation: how the time step scales, shifts and gates every block of the transformer.

It depends on nothing but the time step, so it is computed for a whole schedule at once, and its
matrices, a third of the model, are never kept beside the blocks.
Not here: the blocks (transformer), which time steps there are (diffusion).
Source: diffusers 0.42.1 `QwenTimestepProjEmbeddings`, `QwenImageTransformerBlock`,
`AdaLayerNormContinuous`.
Differs: the sinusoid is float32 also where weights are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.layers.linear import Linear
from myna.models.qwen_image_edit.config import TransformerConfig

TIME_CHANNELS = 256
MAX_PERIOD = 10_000.0
TIMES_PER_STEP = 1000.0  # noise from 0 to 1 is told as 0 to 1000
NUM_SHIFTS = 6


@dataclass(frozen=True)
class Shift:
    """Modulate one half of a block, attention or feed-forward network; each is (D,)."""

    shift: Tensor
    scale: Tensor
    gate: Tensor

    def enter(self, x: Tensor) -> Tensor:
        """Normalise, scale and shift what goes in: (N, D) -> (N, D)."""
        return modulated(x, self.scale, self.shift)

    def leave(self, residual: Tensor, out: Tensor) -> Tensor:
        """Add what comes out to the residual stream: (N, D) each."""
        return torch.addcmul(residual, self.gate, out)


@dataclass(frozen=True)
class BlockShifts:
    """Modulate one stream of a block."""

    attention: Shift
    mlp: Shift


@dataclass(frozen=True)
class Step:
    """Modulate the whole transformer at one time step.

    Attributes:
        image: (L, 6*D), of the pictures' stream.
        text: (L, 6*D), of the text's stream.
        out: (2*D,), of what comes out: scale, then shift.
    """

    image: Tensor
    text: Tensor
    out: Tensor

    def block(self, idx: int) -> tuple[BlockShifts, BlockShifts]:
        """Give what modulates the pictures' stream and the text's stream of one block."""
        return _shifts(self.image[idx]), _shifts(self.text[idx])


def _shifts(values: Tensor) -> BlockShifts:
    parts = values.chunk(NUM_SHIFTS)
    return BlockShifts(Shift(*parts[:3]), Shift(*parts[3:]))


def modulated(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalise (N, D) rows, then scale and shift them."""
    return functional.layer_norm(x, x.shape[-1:], 1 + scale, shift, eps=NORM_EPS)


NORM_EPS = 1e-6


class BlockModulation(nn.Module):
    """Hold one block's two matrices."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.img_mod = Linear(width, NUM_SHIFTS * width, bias=True)
        self.txt_mod = Linear(width, NUM_SHIFTS * width, bias=True)


class TimeEmbedding(nn.Module):
    """Turn time steps into vectors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(TIME_CHANNELS, width, bias=True)
        self.linear_2 = Linear(width, width, bias=True)

    def forward(self, noise: Tensor) -> Tensor:
        """Map (S,) shares of noise, from 0 to 1, to (S, D)."""
        half = TIME_CHANNELS // 2
        steps = torch.arange(half, dtype=torch.float32, device=noise.device)
        frequencies = torch.exp(-math.log(MAX_PERIOD) * steps / half)
        angles = TIMES_PER_STEP * (noise.float()[:, None] * frequencies)  # (S, half)
        waves = torch.cat((angles.cos(), angles.sin()), dim=-1).to(self.linear_2.bias.dtype)
        return self.linear_2(functional.silu(self.linear_1(waves)))


class Modulator(nn.Module):
    """Compute the modulation of schedules.

    Args:
        config: of the transformer.
        has_blocks: whether it holds the blocks' matrices, or is handed them one after another.
    """

    def __init__(self, config: TransformerConfig, *, has_blocks: bool = True) -> None:
        super().__init__()
        self.timestep_embedder = TimeEmbedding(config.width)
        count = config.num_layers if has_blocks else 0
        self.blocks = nn.ModuleList(BlockModulation(config.width) for _ in range(count))
        self.norm_out = Linear(config.width, 2 * config.width, bias=True)

    def forward(
        self, noise: Sequence[float], blocks: Iterable[nn.Module] | None = None
    ) -> tuple[Step, ...]:
        """Compute the modulation of each time step of a schedule.

        Args:
            noise: the share of noise at each step, from 1 to 0.
            blocks: to be used in place of `self.blocks`.
        """
        time = functional.silu(self.timestep_embedder(torch.tensor(noise)))  # (S, D)
        image, text = [], []
        for block in self.blocks if blocks is None else blocks:
            image.append(block.img_mod(time))
            text.append(block.txt_mod(time))
        out = self.norm_out(time)  # (S, 2*D)
        images, texts = torch.stack(image, dim=1), torch.stack(text, dim=1)  # (S, L, 6*D)
        return tuple(map(Step, images, texts, out))
