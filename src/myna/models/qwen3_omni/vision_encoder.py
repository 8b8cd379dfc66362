"""Vision encoder: patches of pictures and videos become embeddings for the thinker.

    patches (P, patch width) -> + learned position -> blocks, attending within a time step
        -> merger: four neighbouring rows become a token (N, D)
    after a few of the blocks, another merger each -> deepstack features for the thinker's first
    layers (N, D)

Not here: how pixels become patches (media), where the embeddings go (inputs).
Source: transformers 5.23 `Qwen3OmniMoeVisionEncoder`; arXiv:2509.17765 §2.
Differs: the patch embedding is one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.layers.embedding import Embedding
from myna.layers.linear import Linear
from myna.layers.rope import Rope, RopeConfig, inverse_frequencies
from myna.layers.windows import Run, WindowAttention, runs
from myna.models.qwen3_omni.encoder_config import VisionConfig

Grid = tuple[int, int, int]  # time steps, rows and columns of patches

NORM_EPS = 1e-6
ROPE = RopeConfig(theta=10_000.0)


@dataclass(frozen=True)
class Seen:
    """Hold what the thinker gets to see.

    Attributes:
        tokens: (N, D), packed in the order of the grids.
        deepstack: (N, D) for each of the thinker's first layers, to be added to its output.
    """

    tokens: Tensor
    deepstack: tuple[Tensor, ...]


class PatchEmbed(nn.Module):
    """Project each patch."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        kernel = (config.patch_frames, config.patch_px, config.patch_px)
        # It holds the parameters in the shape of the files; patches do not overlap, so the
        # convolution is a matrix product, which is faster.
        self.proj = nn.Conv3d(config.num_channels, config.width, kernel, stride=kernel)

    def forward(self, patches: Tensor) -> Tensor:
        """Map (P, patch width) to (P, D)."""
        weight = self.proj.weight.flatten(1)
        return functional.linear(patches.to(weight.dtype), weight, self.proj.bias)


class Mlp(nn.Module):
    """A feed-forward network with one hidden layer."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.linear_fc1 = Linear(config.width, config.hidden_width, bias=True)
        self.linear_fc2 = Linear(config.hidden_width, config.width, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (P, D) to (P, D)."""
        return self.linear_fc2(functional.gelu(self.linear_fc1(x), approximate="tanh"))


class Block(nn.Module):
    """Add attention, then a feed-forward network, each behind a norm, to the residual stream."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.norm2 = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.attn = WindowAttention(config.width, config.num_heads)
        self.mlp = Mlp(config)

    def forward(self, x: Tensor, rope: Rope, windows: tuple[Run, ...]) -> Tensor:
        """Map (P, D) to (P, D)."""
        x = x + self.attn(self.norm1(x), rope, windows)
        return x + self.mlp(self.norm2(x))


class Merger(nn.Module):
    """Make one token of the rows of a square of patches.

    With `norm_after`, the joined row is normalised, otherwise each patch's.
    """

    def __init__(self, config: VisionConfig, *, norm_after: bool) -> None:
        super().__init__()
        self.joined_width = config.width * config.merge**2
        norm_width = self.joined_width if norm_after else config.width
        self.ln_q = nn.LayerNorm(norm_width, eps=NORM_EPS)
        self.mlp = nn.Sequential(
            Linear(self.joined_width, self.joined_width, bias=True),
            nn.GELU(),
            Linear(self.joined_width, config.out_width, bias=True),
        )
        self.norm_after = norm_after

    def forward(self, x: Tensor) -> Tensor:
        """Map (P, D) to (N, thinker's D)."""
        if self.norm_after:
            joined = self.ln_q(x.reshape(-1, self.joined_width))
        else:
            joined = self.ln_q(x).reshape(-1, self.joined_width)
        return self.mlp(joined)


class VisionEncoder(nn.Module):
    """Encode pictures and videos."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = Embedding(config.table_side**2, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.merger = Merger(config, norm_after=False)
        self.merger_list = nn.ModuleList(
            Merger(config, norm_after=True) for _ in config.deepstack_layers
        )
        self.frequencies = inverse_frequencies(ROPE, config.width // config.num_heads // 2)

    def forward(self, patches: Tensor, grids: Sequence[Grid]) -> Seen:
        """Encode pictures and videos, one after another.

        Args:
            patches: (P, patch width) of all of them, the rows of each square that becomes a token
                in sequence.
            grids: of each; rows and columns are multiples of `config.merge`.
        """
        deepstack = []
        mergers = dict(zip(self.config.deepstack_layers, self.merger_list, strict=True))
        for layer_idx, x in enumerate(self.streams(patches, grids)):
            if layer_idx in mergers:
                deepstack.append(mergers[layer_idx](x))
        return Seen(self.merger(x), tuple(deepstack))

    def streams(self, patches: Tensor, grids: Sequence[Grid]) -> Iterator[Tensor]:
        """Give the residual stream (P, D) after each block; the arguments are `forward`'s."""
        x = self.patch_embed(patches)  # (P, D)
        places, learned = [], []
        # Neighbours of one size share what is computed for it.
        for (rows, cols), alike in groupby(grids, key=lambda grid: grid[1:]):
            num_steps = sum(grid[0] for grid in alike)
            step = self.places(rows, cols).to(x.device)
            places.append(step.repeat(num_steps, 1))
            learned.append(self.learned(step).repeat(num_steps, 1))
        x = x + torch.cat(learned).to(x.dtype)
        rope = self.rope(torch.cat(places))
        windows = runs(rows * cols for steps, rows, cols in grids for _ in range(steps))
        for block in self.blocks:
            x = block(x, rope, windows)
            yield x

    def places(self, rows: int, cols: int) -> Tensor:
        """Give the row and column of each patch of one time step, in their order: (P, 2)."""
        merge = self.config.merge
        axes = torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij")
        square = torch.stack(axes, dim=-1)  # (rows, cols, 2)
        squares = square.reshape(rows // merge, merge, cols // merge, merge, 2).transpose(1, 2)
        return squares.reshape(-1, 2)

    def learned(self, places: Tensor) -> Tensor:
        """Stretch the learned square of positions over one time step: (P, 2) -> (P, D) float32."""
        side = self.config.table_side
        last = places[-1].clamp(min=1)
        exact = places * (side - 1) / last  # (P, 2), on the learned square
        low = exact.floor().long()
        high = (low + 1).clamp(max=side - 1)
        part = exact - low
        out = torch.zeros(len(places), self.config.width, device=places.device)
        for row, row_weight in ((low[:, 0], 1 - part[:, 0]), (high[:, 0], part[:, 0])):
            for col, col_weight in ((low[:, 1], 1 - part[:, 1]), (high[:, 1], part[:, 1])):
                weight = (row_weight * col_weight)[:, None]
                out += weight * self.pos_embed(row * side + col, torch.float32)
        return out

    def rope(self, places: Tensor) -> Rope:
        """Turn heads by row, then by column, in float32."""
        frequencies = self.frequencies.to(places.device)
        angles = (places[:, :, None] * frequencies).flatten(1)[:, None]  # (P, 1, K/2)
        cos, sin = angles.cos(), angles.sin()
        return Rope(torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1))
