"""Encoding blocks: what decodes, how near, and nearer than the usual choice of scales."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from myna.kernels.blocks import FORMATS, decode_rows
from myna.weights.quantize.encode import RANGES, encode_rows, largest_value

GGML = {
    "Q4_0": gguf.GGMLQuantizationType.Q4_0,
    "Q5_0": gguf.GGMLQuantizationType.Q5_0,
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
}
HALF_ULP = 2**-11  # of half precision, in which scales are stored
TINIEST = 2**-25  # half of the smallest scale there is
MAX_SQUARES = 32 * 8**2  # of a block's steps
MAX_SHARE_5 = 0.98
SHORT_SCALE_SHARE = 1.04  # of an error, if eight bits spell the scale; found is 1.021
MAX_SHARE = 0.96  # of the usual choice's error, on normal values; found is 0.944


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.02


def error(values: Tensor, decoded: Tensor) -> Tensor:
    """Sum squared errors by block."""
    return (decoded - values).view(-1, 32).square().sum(1)


@pytest.mark.parametrize("kind", GGML)
def test_blocks_are_laid_out_as_ggml_lays_them_out(kind: str) -> None:
    values = normal(5, 96)
    blocks = encode_rows(kind, values)
    assert blocks.dtype is torch.uint8
    assert blocks.shape == (5, FORMATS[kind].row_bytes(96))
    theirs = gguf.quants.dequantize(blocks.numpy(), GGML[kind])
    assert np.array_equal(theirs, decode_rows(kind, blocks).numpy())
    assert torch.allclose(torch.from_numpy(theirs), values, atol=0.006)


def usual(values: Tensor, kind: str = "Q4_0") -> Tensor:
    """Round as ggml does, its largest value on the last step."""
    blocks = gguf.quants.quantize(values.numpy(), GGML[kind])
    return torch.from_numpy(gguf.quants.dequantize(blocks, GGML[kind]))


@pytest.mark.parametrize(("kind", "max_share"), [("Q4_0", MAX_SHARE), ("Q5_0", MAX_SHARE_5)])
def test_scales_are_searched_for_and_not_merely_taken_from_the_largest_value(
    kind: str, max_share: float
) -> None:
    values = normal(512, 256)
    ours = error(values, decode_rows(kind, encode_rows(kind, values)))
    assert (ours.sum() / error(values, usual(values, kind)).sum()).sqrt() < max_share


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), exponent=st.integers(-14, 14))
def test_no_block_is_further_off_than_by_the_usual_choice(seed: int, exponent: int) -> None:
    values = normal(8, 32, seed=seed) * 2.0**exponent
    ours = error(values, decode_rows("Q4_0", encode_rows("Q4_0", values)))
    rounded = values.square().sum(1) * HALF_ULP**2 + MAX_SQUARES * TINIEST**2
    assert (ours <= error(values, usual(values)) * (1 + 1e-4) + 2 * rounded).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), exponent=st.integers(-14, 14))
def test_of_8_bits_no_value_is_off_by_more_than_half_a_step(seed: int, exponent: int) -> None:
    values = normal(8, 32, seed=seed) * 2.0**exponent
    off = (decode_rows("Q8_0", encode_rows("Q8_0", values)) - values).abs()
    step = values.abs().amax(1, keepdim=True) / 127
    assert (off <= step * (0.5 + HALF_ULP) + 128 * TINIEST).all()


@pytest.mark.parametrize("kind", GGML)
def test_zeros_and_values_below_every_scale_become_zeros(kind: str) -> None:
    values = torch.stack([torch.zeros(32), torch.full((32,), 1e-12), torch.full((32,), 1e-40)])
    assert not decode_rows(kind, encode_rows(kind, values)).any()


def test_six_bits_are_laid_out_as_ik_llama_lays_them_out() -> None:
    """Value j has its low bits in byte 10 + j % 16, its high ones in byte 2 + j % 8."""
    values = normal(5, 96)
    rows = encode_rows("Q6_0", values)
    found = decode_rows("Q6_0", rows)
    for block, expected in zip(rows.view(-1, 26).tolist(), found.view(-1, 32), strict=True):
        scale = np.frombuffer(bytes(block[:2]), np.float16).astype(np.float32)[0]
        for j in range(32):
            low = block[10 + j % 16] >> (4 * (j // 16)) & 15
            high = block[2 + j % 8] >> (4 * (j % 16 // 8) + 2 * (j // 16)) & 3
            assert expected[j] == scale * ((high << 4 | low) - 32)
    largest = values.view(-1, 32).abs().amax(1, keepdim=True)
    assert ((found - values).view(-1, 32).abs() <= largest / 31 * 0.6).all()
    assert not decode_rows("Q6_0", encode_rows("Q6_0", torch.zeros(2, 32))).any()


def test_a_scale_of_eight_bits_costs_a_few_per_cent_of_the_error() -> None:
    values = normal(512, 256)
    long, short = (
        error(values, decode_rows(kind, encode_rows(kind, values))).sum().sqrt()
        for kind in ("Q4_0", "Q4_F8")
    )
    assert long < short < SHORT_SCALE_SHARE * long
    assert short < error(values, usual(values)).sum().sqrt()  # GGUF's usual choice, of 16 bits


def test_steps_of_its_own_are_kept_if_eight_bits_spell_their_scale() -> None:
    steps = torch.arange(-8, 8).repeat(2).float()[None]
    for scale, is_exact in ((0.75, True), (0.7, False)):
        own = torch.full((1, 1), scale).half()
        values = steps * own.float()
        found = decode_rows("Q4_F8", encode_rows("Q4_F8", values, None, own))
        assert torch.equal(found, values) is is_exact
        assert torch.allclose(found, values, atol=0.05 * scale * 8)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_F8", "Q8_0"])
def test_the_largest_value_is_spelt_and_no_larger_one(kind: str) -> None:
    most = largest_value(kind)
    scale = 1.875 if kind == "Q4_F8" else 65504.0
    assert most == scale * max(map(abs, RANGES[kind]))
    values = torch.full((1, 32), -most)
    assert torch.equal(decode_rows(kind, encode_rows(kind, values)), values)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("kind", "end"), [("Q4_0", 8), ("Q4_F8", 8), ("Q5_0", 16), ("Q6_0", 32)])
def test_both_ends_of_a_range_are_reached(kind: str, end: int, sign: int) -> None:
    steps = sign * torch.arange(-end, end).repeat(max(1, 16 // end)).float()[None]
    blocks = encode_rows(kind, steps)
    assert torch.equal(decode_rows(kind, blocks), steps)


def test_any_float_and_any_stack_can_be_encoded() -> None:
    values = normal(2, 3, 64).bfloat16()
    assert torch.equal(encode_rows("Q8_0", values), encode_rows("Q8_0", values.float()))
    assert encode_rows("Q4_0", values[:, :, :32]).shape == (2, 3, 18)
