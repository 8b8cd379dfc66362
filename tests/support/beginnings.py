"""What a voice reads before its first frame, made of tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenBeginning:
    """Read some tokens, then the answer's first; satisfies `Beginning`.

    Attributes:
        read: makes vectors of tokens.
        before: (U,) int64, the tokens.
        is_known: whether they are known from the start, or as they are read.
    """

    read: Callable[[Tensor], Tensor]
    before: Tensor
    is_known: bool = True

    advance = 0.0

    @property
    def positions(self) -> Tensor:
        return torch.arange(len(self.before) + 1).float()

    @property
    def num_prompt(self) -> int:
        return len(self.before)

    def num_known(self, num_read: int) -> int:
        return len(self.before) if self.is_known else min(num_read, len(self.before))

    def prompt(self, rows: slice) -> Tensor:
        return self.read(self.before[rows])

    def answer(self, first_id: int) -> Tensor:
        return self.read(torch.tensor([first_id]))
