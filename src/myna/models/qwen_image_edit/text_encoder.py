"""Text encoder: a prompt and the pictures it speaks of become what the transformer attends to.

Every layer reads the part that prompts share once, and each prompt's own part behind it; since
attention is causal, that equals reading each prompt whole.
Not here: the words around a prompt (prompt), pixels (media).
Source: transformers 5.23 `Qwen2_5_VLModel`; arXiv:2502.13923.
Differs: nothing is padded; there is no language model head, for no word is ever chosen.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from myna.layers.decoder import DecoderLayer
from myna.layers.dense_cache import DenseCache
from myna.layers.embedding import Embedding
from myna.layers.mlp import GatedMlp
from myna.layers.norm import RmsNorm
from myna.models.qwen2.config import Config as DecoderConfig
from myna.models.qwen2.model import Attention
from myna.models.qwen_image_edit.config import NUM_AXES, TextEncoderConfig
from myna.models.qwen_image_edit.rope import Grid, SectionedRopeTable
from myna.models.qwen_image_edit.vision_encoder import VisionEncoder


@dataclass(frozen=True)
class Encoded:
    """Hold the hidden states of prompts that begin alike.

    Attributes:
        shared: (N, D) of the common beginning.
        own: (N, D) of what each has of its own.
    """

    shared: Tensor
    own: tuple[Tensor, ...]

    def whole(self, idx: int, *, start: int = 0) -> Tensor:
        """Give one prompt from token `start` of the common beginning on: (N, D)."""
        return torch.cat((self.shared[start:], self.own[idx]))


def make_layer(config: DecoderConfig) -> DecoderLayer:
    """Make one layer, its parameters empty."""
    return DecoderLayer(
        Attention(config),
        GatedMlp(config.width, config.hidden_width),
        width=config.width,
        eps=config.norm_eps,
    )


class TextEncoder(nn.Module):
    """Encode prompts.

    Args:
        config: of the whole.
        has_layers: whether it holds its layers, or is handed them one after another.
    """

    def __init__(self, config: TextEncoderConfig, *, has_layers: bool = True) -> None:
        super().__init__()
        decoder = config.decoder
        self.config = config
        self.visual = VisionEncoder(config.vision)
        self.embed_tokens = Embedding(decoder.vocab_size, decoder.width)
        count = decoder.num_layers if has_layers else 0
        self.layers = nn.ModuleList(make_layer(decoder) for _ in range(count))
        self.norm = RmsNorm(decoder.width, eps=decoder.norm_eps)
        self.rope_table = SectionedRopeTable(
            decoder.rope, decoder.head_width, section=config.section
        )

    def forward(
        self,
        shared: Sequence[int],
        own: Sequence[Sequence[int]],
        patches: Tensor,
        grids: Sequence[Grid],
        layers: Iterable[nn.Module] | None = None,
    ) -> Encoded:
        """Encode prompts that begin alike.

        Args:
            shared: token ids of the beginning, with as many placeholders as the pictures have
                tokens.
            own: token ids of each prompt's own rest.
            patches: (P, patch width) of all pictures.
            grids: rows and columns of patches of each picture.
            layers: to be run in place of `self.layers`.
        """
        dtype = self.norm.weight.dtype
        ids = torch.tensor(shared)
        head = self.embed_tokens(ids, dtype)  # (N, D)
        is_picture = ids == self.config.image_id
        head[is_picture] = self.visual(patches, grids)
        places = positions(ids, grids, self.config)  # (3, N)
        first = int(places.max()) + 1
        tails = [self.embed_tokens(torch.tensor(rest), dtype) for rest in own]
        head_rope = self.rope_table.at(places, dtype)
        tail_ropes = [
            self.rope_table.at(torch.arange(first, first + len(tail)).expand(NUM_AXES, -1), dtype)
            for tail in tails
        ]
        for layer in self.layers if layers is None else layers:
            cache = DenseCache()
            head = layer(head, head_rope, cache)
            tails = [
                layer(tail, rope, copy.copy(cache))
                for tail, rope in zip(tails, tail_ropes, strict=True)
            ]
        return Encoded(self.norm(head), tuple(self.norm(tail) for tail in tails))


def positions(ids: Tensor, grids: Sequence[Grid], config: TextEncoderConfig) -> Tensor:
    """Place tokens on the axes of time, height and width: (N,) -> (3, N) int64.

    Text counts on all three at once. A picture stands still in time and spreads over the other two;
    what follows begins behind its longer side.
    Source: transformers 5.23 `Qwen2_5_VLModel.get_rope_index`.
    """
    merge = config.vision.merge
    out = torch.empty(NUM_AXES, len(ids), dtype=torch.int64)
    pictures = iter(grids)
    at, step = 0, 0
    while at < len(ids):
        if ids[at] != config.image_id:
            out[:, at] = step
            at, step = at + 1, step + 1
            continue
        rows, cols = (side // merge for side in next(pictures))
        axes = (torch.arange(1), torch.arange(rows), torch.arange(cols))
        square = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
        out[:, at : at + rows * cols] = square + step
        at, step = at + rows * cols, step + max(rows, cols)
    return out
