"""Latents as tokens, and noise."""

from __future__ import annotations

import torch

from myna.diffusion.latents import draw_noise, pack, unpack


def test_packing_can_be_undone_and_orders_channel_row_column() -> None:
    latents = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    tokens = pack(latents, 2)
    assert tokens.shape == (2, 6, 12)
    assert tokens[0, 1, :4].tolist() == [2, 3, 8, 9]
    assert torch.equal(unpack(tokens, 2, rows=2), latents)


def test_a_seed_means_one_noise() -> None:
    shape = {"channels": 2, "height": 4, "width": 6}
    assert torch.equal(draw_noise(1, **shape), draw_noise(1, **shape))
    assert not torch.equal(draw_noise(1, **shape), draw_noise(2, **shape))
