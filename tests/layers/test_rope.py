"""Rotary positions: the published numbers of every scaling, and the turning itself.

The llama3 and YaRN values come from the papers' formulas, computed in float64.
"""

import math

import pytest
import torch

from myna.layers.rope import (
    Divisors,
    Interpolation,
    Llama3,
    RopeConfig,
    RopeTable,
    Yarn,
    inverse_frequencies,
)

LLAMA3 = Llama3(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context=8192)


def test_plain_frequencies_fall_geometrically() -> None:
    found = inverse_frequencies(RopeConfig(theta=10_000.0), 8)
    torch.testing.assert_close(found, torch.tensor([1.0, 0.1, 0.01, 0.001]))


def test_linear_scaling_divides_all_alike() -> None:
    config = RopeConfig(theta=10_000.0, scaling=Interpolation(factor=4.0))
    torch.testing.assert_close(
        inverse_frequencies(config, 8), torch.tensor([1.0, 0.1, 0.01, 0.001]) / 4
    )


@pytest.mark.parametrize(
    ("idx", "expected"),
    [
        (0, 1.0),
        (1, 0.8146172339),
        (28, 3.211445995e-3),
        (29, 2.166570764e-3),
        (31, 8.567514129e-4),
        (34, 1.785078128e-4),
        (35, 9.556212354e-5),
        (63, 3.068925989e-7),
    ],
)
def test_llama3_keeps_blends_and_divides(idx: int, expected: float) -> None:
    found = inverse_frequencies(RopeConfig(theta=5e5, scaling=LLAMA3), 128)
    assert float(found[idx]) == pytest.approx(expected, rel=1e-5)


def test_llama3_of_narrow_heads_and_a_larger_factor() -> None:
    scaling = Llama3(factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context=8192)
    found = inverse_frequencies(RopeConfig(theta=5e5, scaling=scaling), 64)
    expected = [1.290547928e-3, 4.295567966e-4, 9.708287803e-5]
    assert found[15:18].tolist() == pytest.approx(expected, rel=1e-5)
    assert float(found[31]) == pytest.approx(9.418306725e-8, rel=1e-5)


def test_stored_divisors_equal_the_scaling_they_were_made_from() -> None:
    plain = inverse_frequencies(RopeConfig(theta=5e5), 128)
    scaled = inverse_frequencies(RopeConfig(theta=5e5, scaling=LLAMA3), 128)
    divisors = Divisors(values=tuple((plain / scaled).tolist()))
    found = inverse_frequencies(RopeConfig(theta=5e5, scaling=divisors), 128)
    torch.testing.assert_close(found, scaled, rtol=1e-6, atol=0)


def test_yarn_of_qwq_keeps_23_pairs_and_divides_from_the_40th() -> None:
    scaling = Yarn(factor=4.0, original_context=32768)
    config = RopeConfig(theta=1e6, scaling=scaling)
    ratio = inverse_frequencies(RopeConfig(theta=1e6), 128) / inverse_frequencies(config, 128)
    torch.testing.assert_close(ratio[:24], torch.ones(24))
    torch.testing.assert_close(ratio[40:], torch.full((24,), 4.0))
    keep = 1 - (30 - 23) / (40 - 23)
    assert float(ratio[30]) == pytest.approx(1 / (keep + (1 - keep) / 4), rel=1e-5)
    assert config.attention_factor == pytest.approx(1.138629, rel=1e-6)


def test_an_attention_factor_of_the_file_wins() -> None:
    scaling = Yarn(factor=4.0, original_context=32768, attention_factor=0.7)
    assert RopeConfig(theta=1e6, scaling=scaling).attention_factor == 0.7


def test_a_factor_of_one_does_not_sharpen_attention() -> None:
    scaling = Yarn(factor=1.0, original_context=32768)
    assert RopeConfig(theta=1e6, scaling=scaling).attention_factor == 1.0


def test_yarn_without_truncation_uses_the_bounds_as_they_are() -> None:
    exact = Yarn(factor=4.0, original_context=32768, truncate=False)
    ratio = inverse_frequencies(RopeConfig(theta=1e6), 128) / inverse_frequencies(
        RopeConfig(theta=1e6, scaling=exact), 128
    )
    high = 64 * math.log(32768 / (2 * math.pi)) / math.log(1e6)
    assert 39 < high < 40
    assert float(ratio[39]) < 4.0
    assert float(ratio[23]) == pytest.approx(1.0)


def test_yarn_survives_bounds_that_meet() -> None:
    scaling = Yarn(factor=4.0, original_context=4, beta_fast=1.0, beta_slow=1.0)
    assert inverse_frequencies(RopeConfig(theta=1e6, scaling=scaling), 8).isfinite().all()


def test_turning_takes_pairs_from_both_halves_of_a_head() -> None:
    rope = RopeTable(RopeConfig(theta=100.0), 4).at(torch.tensor([3]), torch.float32)
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    expected = []
    for first, second, frequency in ((1.0, 3.0, 1.0), (2.0, 4.0, 0.1)):
        turned = complex(first, second) * complex(math.cos(3 * frequency), math.sin(3 * frequency))
        expected.append(turned)
    found = rope.rotate(x).flatten().tolist()
    assert found[:2] == pytest.approx([value.real for value in expected])
    assert found[2:] == pytest.approx([value.imag for value in expected])


def test_scores_depend_on_the_distance_alone() -> None:
    table = RopeTable(RopeConfig(theta=1e4), 16)
    q, k = torch.randn(2, 1, 1, 16, generator=torch.manual_seed(0)).unbind()
    scores = []
    for shift in (0, 1000):
        left = table.at(torch.tensor([7 + shift]), torch.float32).rotate(q)
        right = table.at(torch.tensor([2 + shift]), torch.float32).rotate(k)
        scores.append(float((left * right).sum()))
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_tables_are_real_numbers_even_when_the_network_is_built_without_memory() -> None:
    with torch.device("meta"):
        table = RopeTable(RopeConfig(theta=5e5, scaling=LLAMA3), 128)
    assert table.frequencies.device.type == "cpu"
