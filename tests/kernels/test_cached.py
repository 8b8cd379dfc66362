"""Heads in 8 bits: how far off, how large, what becomes of odd numbers."""

from __future__ import annotations

import torch

from myna.kernels.cached import (
    BLOCK_BYTES,
    BLOCK_VALUES,
    MAX_STEP,
    can_pack,
    heads_of,
    pack_heads,
    stored,
    stored_width,
)

# Half a step of 127, and what the scale's own rounding moves the largest number by.
STEP_SHARE = 0.5 / MAX_STEP + 2**-9


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_no_number_is_off_by_more_than_half_a_step_of_its_block() -> None:
    heads = draw(50, 3, 128) * torch.logspace(-6, 6, 50)[:, None, None]
    found = heads_of(pack_heads(heads), torch.float32)
    blocks = heads.unflatten(-1, (-1, BLOCK_VALUES))
    off = (found - heads).unflatten(-1, (-1, BLOCK_VALUES)).abs()
    assert (off <= STEP_SHARE * blocks.abs().amax(-1, keepdim=True)).all()


def test_a_large_column_costs_only_its_own_block() -> None:
    heads = draw(20, 64)
    loud = heads.clone()
    loud[:, 40] = 1000.0
    quiet, other = (heads_of(pack_heads(x), torch.float32) for x in (heads, loud))
    assert torch.equal(quiet[:, :32], other[:, :32])


def test_zeros_stay_zeros_and_what_is_no_number_stays_none() -> None:
    heads = draw(4, 64)
    heads[0] = 0
    heads[1, 5] = torch.nan
    heads[2, 40] = torch.inf
    found = heads_of(pack_heads(heads), torch.float32)
    assert (found[0] == 0).all()
    assert found[1, :32].isnan().all()
    assert not found[2, 32:].isfinite().any()
    assert found[1, 32:].isfinite().all()
    assert found[3].isfinite().all()


def test_widths_are_told() -> None:
    assert can_pack(128)
    assert not can_pack(80)
    assert stored_width(128, torch.bfloat16) == 128
    assert stored_width(128, torch.uint8) == pack_heads(draw(128)).numel() == 4 * BLOCK_BYTES


def test_a_plain_cache_keeps_its_own_type() -> None:
    heads = draw(2, 32)
    assert stored(heads, torch.bfloat16).dtype is torch.bfloat16
    assert torch.equal(heads_of(heads, torch.float32), heads)
    assert torch.equal(stored(heads, torch.uint8), pack_heads(heads))
