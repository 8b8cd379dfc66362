"""The convolution over time steps against double precision, and what it may not depend on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from myna.kernels import convolve as module
from myna.kernels.convolve import Snake, Steps, convolve, convolve_native, pack, snake
from myna.kernels.native import Native

# Half a bfloat16 ulp of what is written, and what float32 sums and the sine are off by.
BF16_RTOL = 2**-8
ATOL = 2e-5
EPS = 1e-9
# Streams, steps, channels in and out, taps, dilation.
SHAPES = [
    (1, 1, 2, 1, 7, 1),
    (2, 5, 24, 16, 7, 3),
    (1, 9, 10, 70, 2, 1),
    (3, 11, 32, 48, 1, 1),
    (1, 261, 6, 100, 3, 9),
]


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.manual_seed(seed)).bfloat16()


def make(num_in: int, num_out: int, num_taps: int, dilation: int) -> tuple[Steps, Tensor, Tensor]:
    weight = draw(num_out, num_in, num_taps, seed=1) * (num_in * num_taps) ** -0.5
    bias = draw(num_out, seed=2)
    steps = pack(weight, bias, dilation=dilation)
    assert steps is not None
    return steps, weight, bias


def waves(values: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Put exact values through a snake."""
    return values + (values * alpha.double().exp()).sin().square() / (beta.double().exp() + EPS)


def check(found: Tensor, exact: Tensor) -> None:
    bound = BF16_RTOL * exact.abs() + ATOL
    assert found.isfinite().all()
    assert ((found.double() - exact).abs() <= bound).all()


@pytest.mark.parametrize(("streams", "count", "num_in", "num_out", "taps", "dilation"), SHAPES)
def test_sums_and_snakes_are_rounded_once(
    kernels: Native,
    num_threads: int,
    streams: int,
    count: int,
    num_in: int,
    num_out: int,
    taps: int,
    dilation: int,
) -> None:
    steps, weight, bias = make(num_in, num_out, taps, dilation)
    x = draw(streams, steps.num_past + count, num_in, seed=3)
    added = draw(streams, count, num_out, seed=4)
    alpha, beta = draw(2, num_out, seed=5) / 2
    out = torch.empty_like(added)
    place = torch.zeros(streams, count + 2, num_out).bfloat16()
    convolve_native(
        kernels,
        x,
        steps,
        added=added,
        out=out,
        snake=snake(alpha, beta, eps=EPS),
        waved=place[:, 2:],
    )
    plain = functional.conv1d(
        x.double().transpose(1, 2), weight.double(), bias.double(), dilation=dilation
    ).transpose(1, 2)
    check(out, plain + added.double())
    check(place[:, 2:], waves(plain + added.double(), alpha, beta))
    assert not place[:, :2].any()


def test_the_residual_stream_may_be_written_in_place(kernels: Native) -> None:
    steps, _, _ = make(8, 40, 1, 1)
    x, stream = draw(2, 20, 8, seed=6), draw(2, 20, 40, seed=7)
    apart = torch.empty_like(stream)
    convolve_native(kernels, x, steps, added=stream, out=apart)
    convolve_native(kernels, x, steps, added=stream, out=stream)
    assert torch.equal(stream, apart)


def test_a_step_does_not_depend_on_the_steps_beside_it(kernels: Native, num_threads: int) -> None:
    steps, _, _ = make(16, 50, 3, 2)
    x = draw(2, steps.num_past + 13, 16, seed=8)
    whole = torch.empty(2, 13, 50).bfloat16()
    convolve_native(kernels, x, steps, out=whole)
    for step in range(13):
        one = torch.empty(1, 1, 50).bfloat16()
        convolve_native(kernels, x[1:, step : step + steps.num_past + 1], steps, out=one)
        assert torch.equal(one, whole[1:, step : step + 1])


def test_the_sine_holds_far_from_zero(kernels: Native) -> None:
    """The input is x itself: one tap, a weight of one."""
    values = torch.linspace(-300, 300, 4001).bfloat16()[None, :, None].expand(-1, -1, 2)
    steps = pack(torch.tensor([[[1.0], [0.0]]]).bfloat16(), torch.zeros(1).bfloat16())
    assert steps is not None
    out = torch.empty(1, 4001, 1).bfloat16()
    zeros = torch.zeros(1)
    convolve_native(
        kernels, values.contiguous(), steps, snake=snake(zeros, zeros, eps=EPS), waved=out
    )
    check(out, waves(values[..., :1].double(), zeros, zeros))


def test_what_is_no_number_stays_none(kernels: Native) -> None:
    steps, _, _ = make(4, 3, 1, 1)
    x = torch.full((1, 2, 4), torch.nan).bfloat16()
    out, waved = torch.zeros(2, 1, 2, 3).bfloat16()
    numbers = snake(torch.zeros(3), torch.zeros(3), eps=EPS)
    convolve_native(kernels, x, steps, out=out, snake=numbers, waved=waved)
    assert out.isnan().all()
    assert waved.isnan().all()


def test_a_snake_repeats_for_the_steps_of_a_stride() -> None:
    numbers = snake(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 2.0]), eps=EPS, repeats=3)
    assert numbers.alpha[:6].tolist() == pytest.approx([1.0, 2.71828] * 3, abs=1e-4)
    assert numbers.height[:6].tolist() == pytest.approx([1.0, 0.13534] * 3, abs=1e-4)
    assert numbers.alpha.shape == (16,)


@pytest.mark.parametrize(
    "weight", [torch.zeros(4, 6, 2), torch.zeros(4, 5, 2).bfloat16()], ids=["float32", "odd"]
)
def test_weights_that_the_kernel_cannot_read_are_left(weight: Tensor) -> None:
    assert pack(weight, torch.zeros(4)) is None


def test_wrong_shapes_are_refused(kernels: Native) -> None:
    steps, _, _ = make(4, 3, 2, 1)
    x, out = draw(1, 3, 4, seed=9), torch.empty(1, 2, 3).bfloat16()
    numbers = Snake(torch.ones(16), torch.ones(16))
    with pytest.raises(AssertionError, match="Size"):
        convolve_native(kernels, x[..., :2].contiguous(), steps, out=out)
    with pytest.raises(AssertionError, match="Size"):
        convolve_native(kernels, x, steps, out=out[:, :1])
    with pytest.raises(AssertionError, match="a snake writes to a place of its own"):
        convolve_native(kernels, x, steps, out=out, snake=numbers)
    with pytest.raises(AssertionError, match="bfloat16 alone is served"):
        convolve_native(kernels, x, steps, out=out.float())


def test_without_kernels_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "native", lambda: None)
    assert not module.serves()
    steps, _, _ = make(4, 3, 1, 1)
    with pytest.raises(RuntimeError, match="kernels that are not compiled; see `serves`"):
        convolve(draw(1, 1, 4, seed=0), steps, out=torch.empty(1, 1, 3).bfloat16())
