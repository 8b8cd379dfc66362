"""Rotary positions of both halves: the text encoder's three axes, and the transformer's.

Not here: the turning of the text encoder's heads (layers.rope).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from myna.layers.rope import Rope, RopeConfig, inverse_frequencies
from myna.models.qwen_image_edit.config import NUM_AXES

Grid = tuple[int, int]  # rows and columns of tokens
TRANSFORMER_THETA = 10_000.0


class SectionedRopeTable:
    """Turn positions on three axes into rotations; each axis has a run of a head's frequencies.

    Source: transformers 5.23 `Qwen2_5_VLRotaryEmbedding`.

    Args:
        config: theta.
        head_width: K.
        section: how many frequencies turn with time, height and width.
    """

    def __init__(
        self, config: RopeConfig, head_width: int, *, section: tuple[int, int, int]
    ) -> None:
        self.frequencies = inverse_frequencies(config, head_width)
        self.axes = torch.repeat_interleave(
            torch.arange(NUM_AXES, device="cpu"), torch.tensor(section, device="cpu")
        )

    def at(self, positions: Tensor, dtype: torch.dtype) -> Rope:
        """Return the rotations of (3, N) positions; angles are float32, cos and sin of `dtype`."""
        chosen = positions.float()[self.axes.to(positions.device)]  # (K/2, N)
        angles = (chosen.T * self.frequencies.to(positions.device))[:, None]  # (N, 1, K/2)
        cos, sin = angles.cos(), angles.sin()
        return Rope(torch.cat((cos, cos), -1).to(dtype), torch.cat((-sin, sin), -1).to(dtype))


@dataclass(frozen=True)
class PairRope:
    """Hold the rotations of N positions as complex numbers.

    Attributes:
        turns: (N, 1, K/2) complex64.
    """

    turns: Tensor

    def rotate(self, x: Tensor) -> Tensor:
        """Turn neighbours (2*i, 2*i + 1) of each head, in float32: (N, H, K) -> (N, H, K)."""
        pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))  # (N, H, K/2)
        return torch.view_as_real(pairs * self.turns).flatten(-2).to(x.dtype)


class PictureRopeTable:
    """Place text and pictures in one space of frames, rows and columns.

    Picture k is frame k; rows and columns are counted from its centre. Text follows on the
    diagonal, behind the last row or column of any picture.
    Source: diffusers 0.42.1 `QwenEmbedRope` with `scale_rope`.

    Args:
        axis_widths: numbers of a head that turn with frame, row and column.
    """

    def __init__(self, axis_widths: tuple[int, int, int]) -> None:
        config = RopeConfig(theta=TRANSFORMER_THETA)
        self.frequencies = tuple(inverse_frequencies(config, width) for width in axis_widths)

    def text(self, num_tokens: int, grids: Sequence[Grid]) -> PairRope:
        """Return the rotations of a text of `num_tokens`, beside pictures of these grids."""
        first = max(max(rows // 2, cols // 2) for rows, cols in grids)
        steps = torch.arange(first, first + num_tokens, dtype=torch.float32)
        return self._at(steps[:, None].expand(-1, NUM_AXES))

    def pictures(self, grids: Sequence[Grid]) -> PairRope:
        """Return the rotations of all tokens of pictures, one after another."""
        return self._at(torch.cat([self._places(frame, grid) for frame, grid in enumerate(grids)]))

    def _places(self, frame: int, grid: Grid) -> Tensor:
        """Give frame, row and column of each token of a picture: (N, 3)."""
        rows, cols = (torch.arange(size) - (size - size // 2) for size in grid)
        axes = torch.meshgrid(torch.tensor([frame]), rows, cols, indexing="ij")
        return torch.stack(axes, dim=-1).flatten(0, 2).float()

    def _at(self, places: Tensor) -> PairRope:
        angles = torch.cat(
            [places[:, axis, None] * table for axis, table in enumerate(self.frequencies)], dim=-1
        )
        return PairRope(torch.polar(torch.ones_like(angles), angles)[:, None])
