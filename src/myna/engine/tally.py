"""Which tokens a sequence has seen, kept so that a penalty costs as much as there are distinct
tokens.

Not here: the penalties themselves (sampler).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

INITIAL_CAPACITY = 64


class TokenTally:
    """Count the tokens of a prompt and its answer, each distinct id once.

    Attributes:
        num_distinct: how many rows of the two tensors below are in use.
    """

    def __init__(self, prompt_ids: Iterable[int]) -> None:
        distinct = list(dict.fromkeys(prompt_ids))
        self.num_distinct = len(distinct)
        self._row_of = {token_id: row for row, token_id in enumerate(distinct)}
        capacity = max(INITIAL_CAPACITY, 2 * len(distinct))
        self._ids = torch.zeros(capacity, dtype=torch.int64)
        self._ids[: len(distinct)] = torch.tensor(distinct, dtype=torch.int64)
        self._output_counts = torch.zeros(capacity, dtype=torch.float32)

    def add(self, token_id: int) -> None:
        """Count one more token of the answer."""
        row = self._row_of.setdefault(token_id, self.num_distinct)
        if row == self.num_distinct:
            if row == self._ids.shape[0]:
                self._ids = torch.cat((self._ids, torch.zeros_like(self._ids)))
                self._output_counts = torch.cat(
                    (self._output_counts, torch.zeros_like(self._output_counts))
                )
            self._ids[row] = token_id
            self.num_distinct += 1
        self._output_counts[row] += 1

    @property
    def ids(self) -> Tensor:
        """Give the distinct ids of prompt and answer, int64."""
        return self._ids[: self.num_distinct]

    @property
    def output_counts(self) -> Tensor:
        """Give, beside `ids`, how often each occurs in the answer, float32."""
        return self._output_counts[: self.num_distinct]
