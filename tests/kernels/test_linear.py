"""The bfloat16 product against its twin and against double precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from myna.kernels.linear import MAX_ROWS, linear_bf16, linear_bf16_native
from myna.kernels.native import Native

BF16_RTOL = 2**-8  # half a bfloat16 ulp, relative to a number's own power of two
ODD_SHAPES = [
    (1, 1, 1),
    (1, 5, 31),
    (2, 3, 33),
    (3, 17, 64),
    (5, 9, 127),
    (7, 4, 96),
    (13, 70, 300),
]


def draw(*shape: int, seed: int) -> Tensor:
    """Draw normal bfloat16 numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


def assert_rounded(out: Tensor, exact: Tensor, magnitude: Tensor) -> None:
    """Assert that `out` is `exact` in bfloat16, but for float32 sums of that magnitude."""
    bound = BF16_RTOL * exact.abs() + 1e-6 * magnitude
    assert ((out.double() - exact).abs() <= bound).all()


@pytest.mark.parametrize(("num_rows", "n", "k"), ODD_SHAPES)
@pytest.mark.parametrize("has_bias", [False, True])
def test_the_kernel_sums_in_float32_at_odd_sizes(
    kernels: Native, num_threads: int, num_rows: int, n: int, k: int, has_bias: bool
) -> None:
    x, w = draw(num_rows, k, seed=1), draw(n, k, seed=2)
    bias = draw(n, seed=3) if has_bias else None
    out = linear_bf16_native(kernels, x, w, bias)
    exact = F.linear(x.double(), w.double(), None if bias is None else bias.double())
    assert_rounded(out, exact, x.double().abs() @ w.double().abs().T + 4)


def test_a_row_does_not_depend_on_the_rows_beside_it(kernels: Native, num_threads: int) -> None:
    x, w = draw(13, 300, seed=4), draw(70, 300, seed=5)
    together = linear_bf16_native(kernels, x, w)
    alone = torch.cat([linear_bf16_native(kernels, row[None], w) for row in x])
    assert torch.equal(together, alone)


def test_the_number_of_threads_changes_nothing(kernels: Native) -> None:
    x, w = draw(3, 512, seed=6), draw(999, 512, seed=7)
    outs = []
    before = torch.get_num_threads()
    for count in (1, 2, 3, 4):
        torch.set_num_threads(count)
        outs.append(linear_bf16_native(kernels, x, w))
    torch.set_num_threads(before)
    assert all(torch.equal(out, outs[0]) for out in outs)


def test_infinities_and_nans_come_through(kernels: Native) -> None:
    w = torch.ones(3, 40).bfloat16()
    w[1, 7], w[2, 39] = torch.inf, torch.nan
    out = linear_bf16_native(kernels, torch.ones(1, 40).bfloat16(), w)
    assert out[0, 0] == 40
    assert out[0, 1] == torch.inf
    assert out[0, 2].isnan()


def test_outer_dimensions_are_kept() -> None:
    x, w = draw(2, 3, 64, seed=8), draw(5, 64, seed=9)
    assert linear_bf16(x, w).shape == (2, 3, 5)


def test_a_strided_input_is_read_rightly() -> None:
    x, w = draw(64, 2, seed=10).T, draw(5, 64, seed=11)
    assert torch.equal(linear_bf16(x, w), linear_bf16(x.contiguous(), w))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_types_go_to_torch(dtype: torch.dtype) -> None:
    x, w = torch.ones(1, 8, dtype=dtype), torch.ones(4, 8, dtype=dtype)
    assert torch.equal(linear_bf16(x, w), F.linear(x, w))


def test_many_rows_go_to_torch() -> None:
    x, w = draw(max(MAX_ROWS.values()) + 1, 64, seed=12), draw(5, 64, seed=13)
    assert torch.equal(linear_bf16(x, w), F.linear(x, w))


def test_gradients_go_through_torch() -> None:
    x, w = draw(1, 8, seed=14), draw(4, 8, seed=15).requires_grad_()
    linear_bf16(x, w).sum().backward()
    assert w.grad is not None


def test_shapes_that_do_not_match_are_refused_by_torch() -> None:
    with pytest.raises(RuntimeError, match=r"shapes cannot be multiplied|size mismatch"):
        linear_bf16(draw(1, 8, seed=16), draw(4, 9, seed=17))


def test_the_twin_runs_where_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myna.kernels.linear.native", lambda: None)
    x, w = draw(1, 64, seed=18), draw(4, 64, seed=19)
    assert torch.equal(linear_bf16(x, w), F.linear(x, w))


def test_every_level_has_a_row_limit(kernels: Native) -> None:
    assert kernels.name in MAX_ROWS
