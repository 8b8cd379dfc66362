"""Guidance pushes, and keeps each token's length."""

from __future__ import annotations

import torch

from myna.diffusion.guidance import guided


def test_guidance_points_away_from_the_negative_and_keeps_the_length() -> None:
    positive, negative = torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 0.0]])
    found = guided(positive, negative, 4.0)
    combined = torch.tensor([[3.0, 16.0]])
    assert torch.allclose(found, combined * 5.0 / combined.norm())


def test_a_scale_of_one_changes_nothing() -> None:
    positive, negative = torch.tensor([[3.0, 4.0]]), torch.tensor([[-1.0, 2.0]])
    assert torch.allclose(guided(positive, negative, 1.0), positive)
