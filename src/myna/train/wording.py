"""Encoders learn to put what they perceive into the thinker's own words.

The thinker's embedding is drawn by chance and never trained (see `train.start`), so it is known
before there is a thinker. A token of sound or picture that lies near the embedding of a word is
read as if the word had been typed: what typed questions taught serves what is heard and seen, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.text.byte_level import from_bytes
from myna.train.language.tokenizer import vocabulary
from myna.train.shapes import THINKER_WIDTH
from myna.train.start import thinker_embedding

SEED = 0  # of the orders


class Wording(nn.Module):
    """Score how near a token lies to each word, in one or several places of a token.

    Places differ by the order of a token's numbers, so that words do not disturb one another.

    Args:
        words: that can be perceived.
        num_places: of words in a token.
    """

    def __init__(self, words: Sequence[str], *, num_places: int = 1) -> None:
        super().__init__()
        near = functional.normalize(embedded(words), dim=-1)  # (V, D)
        draws = torch.Generator().manual_seed(SEED)
        orders = [torch.randperm(THINKER_WIDTH, generator=draws) for _ in range(1, num_places)]
        table = torch.stack((near, *(near[:, order] for order in orders)))  # (S, V, D)
        self.table: Tensor
        self.register_buffer("table", table, persistent=False)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, D) to logits (N, S, V)."""
        read = functional.rms_norm(tokens, tokens.shape[-1:])  # as the thinker's first layer does
        scores = (read @ self.table.flatten(0, 1).T).float() * self.scale.float()
        return scores.view(len(tokens), *self.table.shape[:2])


def embedded(words: Sequence[str]) -> Tensor:
    """Give the thinker's embedding of words that follow a blank: (V, D) float32.

    Raises:
        KeyError: a word is no token.
    """
    ids = vocabulary()
    rows = torch.tensor([ids[from_bytes(f" {word}".encode())] for word in words])
    return thinker_embedding()[rows]
