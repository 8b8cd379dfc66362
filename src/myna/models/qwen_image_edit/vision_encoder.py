"""Vision encoder: patches of pictures become embeddings for the text encoder.

    patches (P, patch width) -> blocks, most of which attend within windows of a picture
        -> merger: four neighbouring rows become a token (N, D)

Not here: how pixels become patches (media), where the embeddings go (text_encoder).
Source: transformers 5.23 `Qwen2_5_VisionTransformerPretrainedModel`; arXiv:2502.13923 §2.1.
Differs: the patch embedding is one matrix product; gate and up are one matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.layers.linear import Linear
from myna.layers.mlp import GatedMlp
from myna.layers.norm import RmsNorm
from myna.layers.rope import Rope, RopeConfig, inverse_frequencies
from myna.layers.windows import Run, WindowAttention, runs
from myna.models.qwen_image_edit.config import VisionConfig
from myna.models.qwen_image_edit.rope import Grid

NORM_EPS = 1e-6
ROPE = RopeConfig(theta=10_000.0)


class PatchEmbed(nn.Module):
    """Project each patch."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        kernel = (config.patch_frames, config.patch_px, config.patch_px)
        # It holds the parameters in the shape of the files; patches do not overlap, so the
        # convolution is a matrix product, which is faster.
        self.proj = nn.Conv3d(config.num_channels, config.width, kernel, stride=kernel, bias=False)

    def forward(self, patches: Tensor) -> Tensor:
        """Map (P, patch width) to (P, D)."""
        weight = self.proj.weight.flatten(1)
        return functional.linear(patches.to(weight.dtype), weight)


class Block(nn.Module):
    """Add attention, then a gated network, each behind a norm, to the residual stream."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = RmsNorm(config.width, eps=NORM_EPS)
        self.norm2 = RmsNorm(config.width, eps=NORM_EPS)
        self.attn = WindowAttention(config.width, config.num_heads)
        self.mlp = GatedMlp(config.width, config.hidden_width, bias=True)

    def forward(self, x: Tensor, rope: Rope, windows: tuple[Run, ...]) -> Tensor:
        """Map (P, D) to (P, D)."""
        x = x + self.attn(self.norm1(x), rope, windows)
        return x + self.mlp(self.norm2(x))


class Merger(nn.Module):
    """Make one token of the rows of a square of patches."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.joined_width = config.width * config.merge**2
        self.ln_q = RmsNorm(config.width, eps=NORM_EPS)
        self.mlp = nn.Sequential(
            Linear(self.joined_width, self.joined_width, bias=True),
            nn.GELU(),
            Linear(self.joined_width, config.out_width, bias=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (P, D) to (N, text encoder's D)."""
        return self.mlp(self.ln_q(x).reshape(-1, self.joined_width))


class VisionEncoder(nn.Module):
    """Encode pictures."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.merger = Merger(config)
        self.frequencies = inverse_frequencies(ROPE, config.width // config.num_heads // 2)

    def forward(self, patches: Tensor, grids: Sequence[Grid]) -> Tensor:
        """Encode pictures, one after another.

        Args:
            patches: (P, patch width) of all of them, the rows of each square that becomes a token
                in sequence.
            grids: rows and columns of patches of each, multiples of `config.merge`.

        Returns:
            (N, D), in the order of the patches.
        """
        merge = self.config.merge
        order, lengths = window_order([(r // merge, c // merge) for r, c in grids], self.config)
        order = order.to(patches.device)
        by_patch = self._by_square(torch.arange(len(patches), device=patches.device))[order]
        by_patch = by_patch.flatten()  # (P,)
        x = self.patch_embed(patches)[by_patch]  # (P, D)
        rope = self._rope(torch.cat([self._places(*grid) for grid in grids]).to(x.device)[by_patch])
        windows = runs(length * merge**2 for length in lengths)
        pictures = runs(rows * cols for rows, cols in grids)
        for layer_idx, block in enumerate(self.blocks):
            x = block(x, rope, pictures if layer_idx in self.config.full_layers else windows)
        return self.merger(x)[order.argsort()]

    def _by_square(self, rows: Tensor) -> Tensor:
        """Gather what becomes one token: (P,) -> (N, merge * merge)."""
        return rows.unflatten(0, (-1, self.config.merge**2))

    def _places(self, rows: int, cols: int) -> Tensor:
        """Give the row and column of each patch of a picture, in their order: (P, 2)."""
        merge = self.config.merge
        axes = torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij")
        square = torch.stack(axes, dim=-1)  # (rows, cols, 2)
        squares = square.reshape(rows // merge, merge, cols // merge, merge, 2).transpose(1, 2)
        return squares.reshape(-1, 2)

    def _rope(self, places: Tensor) -> Rope:
        """Turn heads by row, then by column, in float32."""
        frequencies = self.frequencies.to(places.device)
        angles = (places[:, :, None] * frequencies).flatten(1)[:, None]  # (P, 1, K/2)
        cos, sin = angles.cos(), angles.sin()
        return Rope(torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1))


def window_order(grids: Sequence[Grid], config: VisionConfig) -> tuple[Tensor, list[int]]:
    """Sort tokens by windows, row by row of windows; those at the far edges may be smaller.

    Args:
        grids: rows and columns of tokens of each picture.
        config: says how large a window is.

    Returns:
        (N,) int64, the tokens in their new order; and how many each window holds.
    """
    side = config.window_tokens
    order, lengths = [], []
    start = 0
    for rows, cols in grids:
        tokens = torch.arange(start, start + rows * cols).reshape(rows, cols)
        start += rows * cols
        for row in tokens.split(side):
            for window in row.split(side, dim=1):
                order.append(window.flatten())
                lengths.append(window.numel())
    return torch.cat(order), lengths
