"""Rotary positions on three axes: time, height and width turn interleaved frequencies of a head.

Not here: which positions a prompt's tokens have (positions), the turning itself (layers.rope).
Source: transformers 5.23 `Qwen3OmniMoeThinkerTextRotaryEmbedding`; arXiv:2509.17765 §2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from myna.layers.rope import Rope, RopeConfig, inverse_frequencies

AXES = 3  # time, height, width


def axis_of_frequency(section: tuple[int, int, int]) -> Tensor:
    """Say which axis turns each frequency: (K/2,) int64, of 0, 1 and 2.

    The axes take turns for as long as height and width have frequencies left; time has the rest.
    """
    axes = torch.zeros(sum(section), dtype=torch.int64, device="cpu")
    for axis in (1, 2):
        axes[axis : AXES * section[axis] : AXES] = axis
    return axes


class MultiAxisRopeTable:
    """Turn positions on three axes into rotations; its numbers follow these to their device.

    Args:
        config: theta and, if the context is stretched, its scaling.
        head_width: K.
        section: how many frequencies turn with each axis.
    """

    def __init__(
        self, config: RopeConfig, head_width: int, *, section: tuple[int, int, int]
    ) -> None:
        self.frequencies = inverse_frequencies(config, head_width)
        self.factor = config.attention_factor
        self.axes = axis_of_frequency(section)

    def at(self, positions: Tensor, dtype: torch.dtype) -> Rope:
        """Return the rotations of N tokens.

        Args:
            positions: (3, N) of any dtype; those of video may be fractions. (N,) stands for three
                equal axes.
            dtype: of cos and sin; angles are float32.
        """
        self.frequencies = self.frequencies.to(positions.device)
        self.axes = self.axes.to(positions.device)
        positions = positions.float().expand(AXES, -1)
        chosen = positions[self.axes]  # (K/2, N)
        angles = (chosen.T * self.frequencies)[:, None]  # (N, 1, K/2)
        cos, sin = angles.cos() * self.factor, angles.sin() * self.factor
        return Rope(
            torch.cat((cos, cos), -1).to(dtype),  # (N, 1, K)
            torch.cat((-sin, sin), -1).to(dtype),  # (N, 1, K)
        )
