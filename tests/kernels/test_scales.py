"""The search for scales against its twin, on every instruction set."""

from __future__ import annotations

import pytest
import torch

from myna.kernels import scales
from myna.kernels.native import Native
from myna.kernels.scales import (
    MAX_SHORT_SCALE,
    block_scales,
    block_scales_twin,
    bytes_of_scales,
    scales_of_bytes,
    short_scales,
    short_scales_twin,
    steps_of,
)

# Sums in another order may prefer another of two scales that are equally good.
GAIN_RTOL = 1e-4


def left_over(values: torch.Tensor, scale: torch.Tensor, weights: torch.Tensor) -> float:
    off = steps_of(values, scale[:, None]) * scale[:, None] - values
    return float((weights * off.square()).sum())


@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_kernel_leaves_no_more_error_than_the_twin(
    kernels: Native, monkeypatch: pytest.MonkeyPatch, num_threads: int, is_weighted: bool
) -> None:
    monkeypatch.setattr(scales, "native", lambda: kernels)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(300, 32, generator=generator)
    importance = torch.rand(96, generator=generator) if is_weighted else None
    found, twin = block_scales(values, importance), block_scales_twin(values, importance)
    weights = torch.ones(1) if importance is None else importance.view(3, 32).repeat(100, 1)
    assert left_over(values, found, weights) == pytest.approx(
        left_over(values, twin, weights), rel=GAIN_RTOL
    )


def test_every_scale_of_eight_bits_is_spelt_by_its_own_byte() -> None:
    data = torch.arange(256).to(torch.uint8)
    found = scales_of_bytes(data).float()
    assert torch.equal(found[:128], -found[128:])
    assert (found[:128].diff() > 0).all()
    assert found[[1, 8, 127]].tolist() == [2.0**-17, 2.0**-14, MAX_SHORT_SCALE]
    assert torch.equal(bytes_of_scales(found)[:128], data[:128])
    assert torch.equal(bytes_of_scales(found)[129:], data[129:])  # there is one zero


def test_a_scale_becomes_the_nearest_of_eight_bits() -> None:
    values = torch.randn(10_000, generator=torch.Generator().manual_seed(0)).clamp(-1.8, 1.8)
    values = values * torch.logspace(-5, 0, len(values))
    known = scales_of_bytes(torch.arange(256).to(torch.uint8)).float()
    nearest = (values[:, None] - known).abs().amin(1)
    found = scales_of_bytes(bytes_of_scales(values)).float()
    rounded_before = values.abs() * 2.0**-10 + 2.0**-24  # to half precision
    assert ((values - found).abs() <= nearest + rounded_before).all()
    assert scales_of_bytes(bytes_of_scales(torch.tensor([5.0, -5.0]))).tolist() == [1.875, -1.875]


def test_of_neighbouring_scales_the_one_of_least_error_is_taken(
    kernels: Native, monkeypatch: pytest.MonkeyPatch, num_threads: int
) -> None:
    monkeypatch.setattr(scales, "native", lambda: kernels)
    values = torch.randn(300, 32, generator=torch.Generator().manual_seed(0)) * 0.02
    importance = torch.rand(96, generator=torch.Generator().manual_seed(1))
    weights = importance.view(3, 32).repeat(100, 1)
    found = block_scales_twin(values, importance)
    best = short_scales(values, found, importance).float().squeeze(1)
    twin = short_scales_twin(values, found, importance).float().squeeze(1)
    assert left_over(values, best, weights) == pytest.approx(
        left_over(values, twin, weights), rel=GAIN_RTOL
    )
    assert torch.equal(scales_of_bytes(bytes_of_scales(best)).float(), best)
    nearest = bytes_of_scales(found)
    for other in (nearest, nearest + 1, nearest - 1):
        least = left_over(values, best, weights)
        assert least <= left_over(values, scales_of_bytes(other).float(), weights)
    assert least < left_over(values, scales_of_bytes(nearest).float(), weights)


def test_zeros_have_no_scale(kernels: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scales, "native", lambda: kernels)
    assert not block_scales(torch.zeros(2, 32)).any()
    assert not block_scales_twin(torch.zeros(2, 32)).any()


def test_without_kernels_the_twin_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scales, "native", lambda: None)
    values = torch.arange(32.0).view(1, 32)
    found = block_scales(values)
    assert torch.equal(found, block_scales_twin(values))
    assert torch.equal(short_scales(values, found), short_scales_twin(values, found))
