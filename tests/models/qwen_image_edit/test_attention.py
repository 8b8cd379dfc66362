"""Attention in bfloat16 steps stays as close to the truth as its numbers allow."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from myna.models.qwen_image_edit import attention
from myna.models.qwen_image_edit.attention import attend

ROUNDING = 2**-8  # of bfloat16, relative
SHAPE = (2, 700, 64)


def heads(strength: float) -> tuple[Tensor, Tensor, Tensor]:
    """Draw queries and keys of a given length, as head norms make them."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(SHAPE, generator=generator) for _ in range(3))
    return functional.rms_norm(q, SHAPE[-1:]) * strength, functional.rms_norm(k, SHAPE[-1:]), v


def error(found: Tensor, q: Tensor, k: Tensor, v: Tensor) -> float:
    exact = functional.scaled_dot_product_attention(q.double(), k.double(), v.double())
    return float((found.double() - exact).norm() / exact.norm())


@pytest.mark.parametrize("strength", [1.0, 4.0, 8.0])
def test_steps_are_about_as_precise_as_the_numbers(strength: float) -> None:
    rounded = [x.bfloat16() for x in heads(strength)]
    assert error(attend(*rounded), *rounded) < 1.5 * ROUNDING


def test_taking_off_the_largest_is_what_keeps_scores_precise(monkeypatch) -> None:
    rounded = [x.bfloat16() for x in heads(8.0)]
    careful = error(attend(*rounded), *rounded)
    exact = torch.baddbmm
    monkeypatch.setattr(
        attention.torch,
        "baddbmm",
        lambda top, rows, keys, beta, alpha: exact(
            top.new_zeros(1), rows, keys, beta=0, alpha=alpha
        ),
    )
    assert error(attend(*rounded), *rounded) > 2 * careful


def test_floats_are_left_to_torch() -> None:
    q, k, v = heads(2.0)
    assert error(attend(q, k, v), q, k, v) < 1e-6


@pytest.mark.parametrize("most", [1, 10**9])
def test_rows_at_the_end_may_be_few(monkeypatch, most: int) -> None:
    monkeypatch.setattr(attention, "MAX_SCORES", most)
    rounded = [x.bfloat16() for x in heads(2.0)]
    expected = attend(*rounded)
    monkeypatch.setattr(attention, "ROWS", 300)
    assert torch.allclose(attend(*rounded).float(), expected.float(), atol=2 * ROUNDING)
