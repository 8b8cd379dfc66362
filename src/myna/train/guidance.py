"""Guided attention: a head is told where to look while the network learns to read.

A talker that reads text, and a thinker that writes down what it hears, follow words one by one;
left to themselves they find that out only after thousands of steps.

Source: arXiv:1710.08969 §4.2.
"""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from myna.train.examples import UNSCORED
from myna.train.rectangle import Rectangle


class Watched(Rectangle):
    """Keep where the first head looks: `looks` (B, T, T), logarithms of its shares."""

    looks: Tensor

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Rectangle`."""
        size, width = self.num_sequences, q.shape[-1]
        queries, keys = (x[:, 0].float().reshape(size, -1, width) for x in (q, k))
        scores = queries @ keys.transpose(1, 2) * width**-0.5  # (B, T, T)
        future = torch.ones_like(scores[0], dtype=torch.bool).triu(1)
        self.looks = scores.masked_fill(future, -inf).log_softmax(-1)
        return super().attend(q, k, v)


def strayed(looks: Tensor, sought: Tensor, written: Tensor) -> Tensor:
    """Tell how little of a head's attention is on the words that are sought, in nats.

    Args:
        looks: (B, T, T), logarithms of shares.
        sought: (B, T) int64, the word that each row should look for, or `UNSCORED`.
        written: (B, T) int64, the word that each row holds, or `UNSCORED`.
    """
    is_there = (sought[:, :, None] == written[:, None, :]) & (sought != UNSCORED)[:, :, None]
    is_there &= looks.detach().isfinite()
    rows = is_there.any(-1)
    found = looks[rows].masked_fill(~is_there[rows], -inf)
    return -found.logsumexp(-1).mean()
