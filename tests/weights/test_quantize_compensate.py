"""Rounding that lets columns make up for one another, beside rounding each by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from myna.kernels.blocks import decode_rows
from myna.weights.quantize.compensate import can_compensate, compensate, spread_of
from myna.weights.quantize.encode import encode_rows

ROWS, COLUMNS, TOKENS = 48, 128, 512


@pytest.fixture(scope="module")
def drawn() -> tuple[Tensor, Tensor]:
    """Draw a matrix (R, C), and what it multiplies (N, C): columns that go together."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(ROWS, COLUMNS, generator=generator)
    hidden = torch.randn(TOKENS, 24, generator=generator)
    mix = torch.randn(24, COLUMNS, generator=generator)
    return weight, hidden @ mix + 0.1 * torch.randn(TOKENS, COLUMNS, generator=generator)


def moments(inputs: Tensor) -> Tensor:
    return inputs.t() @ inputs / len(inputs)


@pytest.mark.parametrize(("kind", "share"), [("Q4_0", 0.5), ("Q4_F8_R16", 0.5), ("Q6_0", 0.5)])
def test_what_the_matrix_gives_is_nearer(
    drawn: tuple[Tensor, Tensor], kind: str, share: float
) -> None:
    weight, inputs = drawn
    plain = decode_rows(kind, encode_rows(kind, weight))
    made = compensate(weight, spread_of(moments(inputs)), kind=kind)
    harm, plain_harm = (
        float((inputs @ (rounded - weight).t()).norm()) for rounded in (made.values, plain)
    )
    assert harm < share * plain_harm


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_F8", "Q5_0", "Q6_0_R16"])
def test_what_it_gives_is_encoded_without_an_error(drawn: tuple[Tensor, Tensor], kind: str) -> None:
    weight, inputs = drawn
    made = compensate(weight, spread_of(moments(inputs)), kind=kind)
    assert made.scales is not None
    assert made.scales.shape == (ROWS, COLUMNS // 32)
    assert torch.equal(
        decode_rows(kind, encode_rows(kind, made.values, None, made.scales)), made.values
    )


def test_columns_that_have_nothing_in_common_are_rounded_by_themselves(
    drawn: tuple[Tensor, Tensor],
) -> None:
    weight, _ = drawn
    made = compensate(weight, spread_of(torch.eye(COLUMNS)), kind="Q4_0")
    assert torch.equal(made.values, decode_rows("Q4_0", encode_rows("Q4_0", weight)))


@pytest.mark.parametrize("moment", [torch.zeros(COLUMNS, COLUMNS), torch.ones(COLUMNS, COLUMNS)])
def test_activations_that_are_nothing_or_alike_do_no_harm(
    drawn: tuple[Tensor, Tensor], moment: Tensor
) -> None:
    weight, _ = drawn
    made = compensate(weight, spread_of(moment), kind="Q4_0")
    assert made.values.isfinite().all()


def test_damping_grows_until_moments_can_be_inverted() -> None:
    moment = torch.eye(COLUMNS)
    moment[0, 0] = -0.05  # as rounding may leave it
    assert spread_of(moment).isfinite().all()


def test_eight_bits_need_no_help() -> None:
    assert can_compensate("Q4_F8_R16")
    assert not can_compensate("Q8_0_R16")
