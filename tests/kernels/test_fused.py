"""Packed products and decoded rows against their twins."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from myna.kernels import blocks, fused, tiles
from myna.kernels.native import Native

RTOL = 1e-5  # float32 sums of at most a few hundred products, relative to the sum of magnitudes
BF16_RTOL = 2**-8  # half a bfloat16 ulp, relative to a number's own power of two
KINDS = [
    kind for kind, (number, *_) in fused.FORMATS.items() if number < 10 or kind in ("Q6_0", "Q4_F8")
]


@pytest.fixture(autouse=True)
def only_these_kernels(kernels: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run this file's tests once for each instruction set."""
    monkeypatch.setattr("myna.kernels.fused.native", lambda: kernels)


def draw(kind: str, *, num_rows: int, num_blocks: int, seed: int) -> Tensor:
    """Draw packed rows: any bytes, with scales that are finite numbers of moderate size."""
    block = blocks.FORMATS[kind]
    generator = torch.Generator().manual_seed(seed)
    shape = (num_rows, num_blocks, block.num_bytes)
    data = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    for offset in block.scale_offsets:
        data[..., offset + 1] &= 0x9F  # an exponent below 8: at most 2**-7, subnormals among them
    return data.flatten(1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_layouts_agree_with_the_twins(kind: str) -> None:
    block = blocks.FORMATS[kind]
    assert fused.FORMATS[kind][1:] == (block.num_values, block.num_bytes)


@pytest.mark.parametrize("kind", KINDS)
def test_decoded_rows_are_equal_to_the_bit(kind: str, num_threads: int) -> None:
    data = draw(kind, num_rows=50, num_blocks=7, seed=1)
    expected = blocks.decode_rows(kind, data)
    assert torch.equal(fused.decode_rows(kind, data, torch.float32), expected)
    assert torch.equal(fused.decode_rows(kind, data, torch.bfloat16), expected.bfloat16())


@pytest.mark.parametrize("kind", [*KINDS, *tiles.ROW_KINDS])
def test_rows_are_gathered_as_they_are_decoded(kind: str) -> None:
    row_kind = tiles.ROW_KINDS.get(kind, kind)
    data = draw(row_kind, num_rows=48, num_blocks=3, seed=1)
    ids = torch.tensor([[47, 0, 16], [5, 5, 31]])
    expected = blocks.decode_rows(row_kind, data)[ids]
    if kind in tiles.ROW_KINDS:
        data = tiles.tile(data, blocks.FORMATS[kind].num_bytes)
    for dtype in (torch.float32, torch.bfloat16):
        found = fused.gather_rows(kind, data, ids, dtype)
        assert found is not None
        assert torch.equal(found.nan_to_num(), expected.to(dtype).nan_to_num())


def test_rows_that_are_not_there_or_too_many_are_not_gathered() -> None:
    data = draw("Q8_0", num_rows=4, num_blocks=1, seed=1)
    for ids in ([4], [-1], [], [0] * (fused.MAX_GATHERED + 1)):
        listed = torch.tensor(ids, dtype=torch.int64)
        assert fused.gather_rows("Q8_0", data, listed, torch.float32) is None
    row = torch.tensor([0])
    assert fused.gather_rows("F16", data, row, torch.float32) is None
    assert fused.gather_rows("Q8_0", data, row, torch.float16) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_rows", [1, 2, 7])
@pytest.mark.parametrize("num_threads", [1, 4], indirect=True)
def test_the_product_equals_the_float_twin(kind: str, num_rows: int, num_threads: int) -> None:
    data = draw(kind, num_rows=33, num_blocks=3, seed=2)
    weight = blocks.decode_rows(kind, data).double()
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(num_rows, weight.shape[1], generator=generator)
    bias = torch.randn(33, generator=generator)
    out = fused.packed_linear(x, kind, data, bias=bias)
    assert out is not None
    magnitude = x.double().abs() @ weight.abs().T + bias.abs()
    error = (out.double() - F.linear(x.double(), weight, bias.double())).abs()
    assert (error <= RTOL * magnitude).all()


def test_bfloat16_is_read_and_rounded_once() -> None:
    data = draw("Q4_1", num_rows=33, num_blocks=3, seed=4)
    weight = blocks.decode_rows("Q4_1", data).double()
    x = torch.randn(2, 96, generator=torch.Generator().manual_seed(5)).bfloat16()
    bias = torch.ones(33).bfloat16()
    out = fused.packed_linear(x, "Q4_1", data, bias=bias)
    assert out is not None
    assert out.dtype == torch.bfloat16
    exact = F.linear(x.double(), weight, bias.double())
    magnitude = x.double().abs() @ weight.abs().T + 1
    assert ((out.double() - exact).abs() <= BF16_RTOL * exact.abs() + RTOL * magnitude).all()


def test_a_row_does_not_depend_on_the_rows_beside_it(num_threads: int) -> None:
    data = draw("Q4_K", num_rows=40, num_blocks=2, seed=6)
    x = torch.randn(7, 512, generator=torch.Generator().manual_seed(7))
    together = fused.packed_linear(x, "Q4_K", data)
    alone = torch.cat([fused.packed_linear(row[None], "Q4_K", data) for row in x])
    assert torch.equal(together, alone)


def test_outer_dimensions_and_strides_are_respected() -> None:
    data = draw("Q8_0", num_rows=5, num_blocks=2, seed=8)
    x = torch.randn(64, 3, 2, generator=torch.Generator().manual_seed(9)).permute(2, 1, 0)
    out = fused.packed_linear(x, "Q8_0", data)
    assert out.shape == (2, 3, 5)
    assert torch.equal(out, fused.packed_linear(x.contiguous(), "Q8_0", data))


def test_infinite_and_subnormal_scales_are_read_as_they_are() -> None:
    data = draw("Q8_0", num_rows=4, num_blocks=1, seed=10)
    for row, bits in enumerate((0x7C00, 0xFC00, 0x0001, 0x83FF)):
        data[row, 0], data[row, 1] = bits & 0xFF, bits >> 8
    expected = blocks.decode_rows("Q8_0", data)
    assert torch.equal(
        fused.decode_rows("Q8_0", data, torch.float32).nan_to_num(), expected.nan_to_num()
    )


@pytest.mark.parametrize(
    ("kind", "x"),
    [
        ("F16", torch.ones(1, 32)),
        ("Q8_0", torch.ones(1, 32, dtype=torch.float16)),
        ("Q8_0", torch.ones(1, 64)),
        ("Q8_0", torch.ones(fused.MAX_ROWS + 1, 32)),
        ("Q8_0", torch.ones(0, 32)),
        ("Q8_0", torch.ones(1, 32, requires_grad=True)),
    ],
    ids=["format", "type", "width", "too many rows", "no rows", "gradient"],
)
def test_what_the_kernel_cannot_serve_is_left_to_the_twin(kind: str, x: Tensor) -> None:
    data = torch.zeros(4, 34, dtype=torch.uint8)
    assert fused.packed_linear(x, kind, data) is None


def test_a_bias_of_another_type_is_left_to_the_twin() -> None:
    data = torch.zeros(4, 34, dtype=torch.uint8)
    bias = torch.zeros(4).double()
    assert fused.packed_linear(torch.ones(1, 32), "Q8_0", data, bias=bias) is None


def test_rows_that_cannot_be_decoded_are_left_to_the_twin() -> None:
    data = torch.zeros(4, 34, dtype=torch.uint8)
    assert fused.decode_rows("F16", data, torch.float32) is None
    assert fused.decode_rows("Q8_0", data, torch.float16) is None
    assert fused.decode_rows("Q8_0", data.T.contiguous().T, torch.float32) is None


def test_nothing_compiled_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myna.kernels.fused.native", lambda: None)
    data = torch.zeros(4, 34, dtype=torch.uint8)
    assert fused.packed_linear(torch.ones(1, 32), "Q8_0", data) is None
    assert fused.decode_rows("Q8_0", data, torch.float32) is None
