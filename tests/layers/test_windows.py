"""Attention within windows."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from myna.layers.windows import Run, attend, runs


def test_neighbours_of_equal_length_make_a_run() -> None:
    assert runs([4, 4, 3, 4]) == (Run(2, 4), Run(1, 3), Run(1, 4))


@pytest.mark.parametrize("lengths", [[7], [3, 3, 3], [1, 4, 4, 2, 4]])
def test_no_window_sees_another(lengths: list[int]) -> None:
    q, k, v = torch.randn(3, sum(lengths), 2, 8, generator=torch.manual_seed(0))
    window = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    mask = window[:, None] == window[None]
    expected = functional.scaled_dot_product_attention(
        q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), attn_mask=mask
    ).transpose(0, 1)
    assert torch.allclose(attend(q, k, v, runs(lengths)), expected, atol=1e-6)
