"""Products with activations rounded to 8 bits, on every instruction set."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from myna.kernels import blocks, fused
from myna.kernels.native import Native
from myna.kernels.rounding import round_activations, rounded_linear
from myna.kernels.tiles import ROW_KINDS, tile
from myna.weights.quantize.encode import spell_scales
from tiled import draw_rows, steps_and_scales

SUM_RTOL = 1e-5  # float32 sums in another order, relative to the largest
BF16_RTOL = 2**-8
ROUNDING_SHARE = 1e-2  # of a product's size: what rounding activations to 8 bits may change


@pytest.fixture(autouse=True)
def only_these_kernels(kernels: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run this file's tests once for each instruction set."""
    monkeypatch.setattr(fused, "native", lambda: kernels)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def product(x: Tensor, kind: str, rows: Tensor, bias: Tensor | None = None) -> Tensor:
    data = tile(rows, blocks.FORMATS[kind].num_bytes) if kind in ROW_KINDS else rows
    out = fused.packed_linear(x, kind, data, bias=bias)
    assert out is not None
    return out


@pytest.mark.parametrize("kind", list(ROW_KINDS))
@pytest.mark.parametrize("num_rows", [1, 2, 3, 7, 8, 9, 64])
@pytest.mark.parametrize("num_threads", [1, 4], indirect=True)
def test_tiles_multiply_as_the_twin_does(kind: str, num_rows: int, num_threads: int) -> None:
    rows = draw_rows(ROW_KINDS[kind], 48, 96)
    x, bias = normal(num_rows, 96), normal(48, seed=1)
    twin = rounded_linear(x, *steps_and_scales(rows, ROW_KINDS[kind])) + bias
    error = (product(x, kind, rows, bias) - twin).abs().max()
    assert error <= SUM_RTOL * twin.abs().max()


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0"])
@pytest.mark.parametrize("num_rows", [1, 2, 5, 8])
@pytest.mark.parametrize("height", [16, 33])
def test_rows_of_a_file_multiply_as_the_twin_does(kind: str, num_rows: int, height: int) -> None:
    rows = draw_rows(kind, height, 160)
    x = normal(num_rows, 160).bfloat16()
    twin = rounded_linear(x, *steps_and_scales(rows, kind))
    error = (product(x, kind, rows).float() - twin).abs()
    assert (error <= BF16_RTOL * twin.abs() + SUM_RTOL * twin.abs().max()).all()


@pytest.mark.parametrize("kind", [*ROW_KINDS, "Q4_0", "Q8_0"])
def test_the_integers_are_exact(kind: str) -> None:
    # All scales are powers of two and sums are small, so that float32 holds every number exactly;
    # steps are the largest there are.
    row_kind = ROW_KINDS.get(kind, kind)
    rows = draw_rows(row_kind, 32, 64)
    start = spell_scales(row_kind, torch.tensor([[0.5]]).half()).flatten()
    rows.view(32, 2, -1)[..., : len(start)] = start
    x = torch.randint(-127, 128, (11, 64), generator=torch.Generator().manual_seed(2)).float()
    x[:, ::32] = 127
    least, most = (128, 127) if row_kind == "Q8_0" else (0, 255)
    rows.view(32, 2, -1)[0, :, len(start) :] = least
    rows.view(32, 2, -1)[1, :, len(start) :] = most
    exact = x.double() @ blocks.decode_rows(row_kind, rows).double().T
    x = x.bfloat16() if kind == row_kind else x
    wanted = exact.to(x.dtype)
    assert torch.equal(product(x, kind, rows), wanted)


@pytest.mark.parametrize("kind", [*ROW_KINDS, "Q4_0", "Q8_0"])
def test_a_row_does_not_depend_on_the_rows_beside_it(kind: str) -> None:
    rows, x = draw_rows(ROW_KINDS.get(kind, kind), 32, 128), normal(19, 128).bfloat16()
    alone = torch.cat([product(row[None], kind, rows) for row in x])
    assert torch.equal(product(x, kind, rows), alone)


def test_rounding_changes_little() -> None:
    rows, x = draw_rows("Q4_0", 64, 1024), normal(4, 1024)
    exact = x @ blocks.decode_rows("Q4_0", rows).T
    error = (product(x, "Q4_0_R16", rows) - exact).norm() / exact.norm()
    assert error < ROUNDING_SHARE


def test_zeros_and_numbers_too_small_to_round_give_zeros() -> None:
    rows = draw_rows("Q4_0", 16, 64)
    x = torch.cat((torch.zeros(1, 64), torch.full((1, 64), 1e-38)))
    assert not product(x, "Q4_0_R16", rows).any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_spoils_its_own_row_only(bad: float) -> None:
    rows, x = draw_rows("Q4_0", 16, 64), normal(3, 64)
    expected = product(x, "Q4_0_R16", rows)
    x[1, 40] = bad
    found = product(x, "Q4_0_R16", rows)
    assert not found[1].isfinite().any()
    assert torch.equal(found[[0, 2]], expected[[0, 2]])


def test_the_result_is_written_where_it_is_wanted() -> None:
    rows, x = draw_rows("Q4_0", 32, 64), normal(3, 64)
    whole = torch.zeros(3, 40)
    data = tile(rows, 18)
    assert fused.packed_linear(x, "Q4_0_R16", data, out=whole[:, 4:36]) is not None
    assert torch.equal(whole[:, 4:36], product(x, "Q4_0_R16", rows))
    assert not whole[:, :4].any()
    assert not whole[:, 36:].any()


def test_steps_are_rounded_to_the_nearest_ties_to_even() -> None:
    x = torch.zeros(1, 32)
    x[0, :4] = torch.tensor([127.0, 0.5, 1.5, -2.5])
    steps, scales = round_activations(x)
    assert steps[0, 0, :4].tolist() == [127, 0, 2, -2]
    assert scales.tolist() == [[1.0]]
