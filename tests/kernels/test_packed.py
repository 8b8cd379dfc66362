"""Packed matrices against their float twins."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from myna.kernels import packed
from myna.kernels.blocks import FORMATS
from myna.kernels.packed import (
    PackedRows,
    PackedStack,
    PackedWeight,
    concat_rows,
    dequantize,
    dequantize_into,
    embedding,
    linear,
    permute_rows,
    stack_experts,
)
from myna.kernels.tiles import ROW_KINDS

KINDS = [kind for kind, block in FORMATS.items() if block.scale_offsets and kind not in ROW_KINDS]
# Slabs and one large product may add in another order: a few units of the last place of float32.
SUM_RTOL = 1e-5


def random_packed(kind: str, rows: int, columns: int, seed: int = 0) -> PackedWeight:
    """Draw random blocks with scales of ordinary size."""
    block = FORMATS[kind]
    generator = torch.Generator().manual_seed(seed)
    num_blocks = columns // block.num_values
    shape = (rows * num_blocks, block.num_bytes)
    data = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    for offset in block.scale_offsets:
        scales = torch.rand(len(data), 1, generator=generator).half() * 0.02 + 0.001
        data[:, offset : offset + 2] = scales.view(torch.uint8)
    return PackedWeight(kind, data.view(rows, -1), None, (rows, columns))


def assert_close(found: Tensor, expected: Tensor) -> None:
    scale = max(1.0, expected.abs().max().item())
    assert (found - expected).abs().max().item() <= SUM_RTOL * scale


@pytest.mark.parametrize("kind", KINDS)
def test_the_product_equals_that_of_the_float_twin(kind: str, monkeypatch) -> None:
    monkeypatch.setattr(packed, "SLAB_BYTES", 3 * 4 * 512)  # three rows a slab
    weight = random_packed(kind, 10, 512)
    x, bias = torch.randn(2, 3, 512), torch.randn(10)
    twin = dequantize(weight, torch.float32)
    assert twin.shape == (10, 512)
    assert_close(linear(x, weight, bias), F.linear(x, twin, bias))
    assert_close(linear(x, weight), F.linear(x, twin))


def test_the_twin_of_a_low_precision_product_has_that_precision() -> None:
    weight = random_packed("Q4_0", 8, 64)
    x = torch.randn(2, 64, dtype=torch.bfloat16)
    found = linear(x, weight)
    assert found.dtype is torch.bfloat16
    twin = F.linear(x, dequantize(weight, torch.bfloat16))
    # The twin rounds every weight to 8 bits before its 64 products are summed; activations too are
    # rounded to 8 bits.
    torch.testing.assert_close(found, twin, rtol=2**-6, atol=2**-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_plain_matrices_pass_through(dtype: torch.dtype) -> None:
    x, weight, bias = (torch.ones(size, dtype=dtype) for size in ((2, 4), (3, 4), (3,)))
    assert torch.equal(linear(x, weight, bias), torch.full((2, 3), 5, dtype=dtype))
    assert torch.equal(embedding(torch.tensor([1]), weight, torch.float32), torch.ones(1, 4))


def test_rows_of_mixed_formats_multiply_as_one_matrix() -> None:
    parts = [random_packed(kind, 4, 256, seed) for seed, kind in enumerate(("Q4_K", "Q6_K"))]
    rows = concat_rows([*parts, parts[0]])
    assert isinstance(rows, PackedRows)
    assert rows.shape == (12, 256)
    assert rows.num_bytes == sum(part.num_bytes for part in (*parts, parts[0]))
    twin = torch.cat([dequantize(part, torch.float32) for part in (*parts, parts[0])])
    assert torch.equal(dequantize(rows, torch.float32), twin)
    x, bias = torch.randn(3, 256), torch.randn(12)
    assert_close(linear(x, rows, bias), F.linear(x, twin, bias))


def test_rows_are_set_above_each_other_without_a_copy() -> None:
    parts = [random_packed("Q8_0", rows, 64, rows) for rows in (2, 3)]
    whole = concat_rows(parts)
    assert isinstance(whole, PackedRows)
    assert whole.shape == (5, 64)
    assert [part.data.data_ptr() for part in whole.parts] == [
        part.data.data_ptr() for part in parts
    ]
    twin = torch.cat([dequantize(part, torch.float32) for part in parts])
    assert torch.equal(dequantize(whole, torch.float32), twin)
    assert whole.split(2) == tuple(parts)
    assert concat_rows(parts[:1]) is parts[0]


def test_rows_are_split_only_where_a_part_begins() -> None:
    whole = concat_rows([random_packed("Q8_0", rows, 64, rows) for rows in (2, 3)])
    with pytest.raises(AssertionError, match="no part begins at row 3"):
        whole.split(3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_plain_rows_among_packed_ones_are_kept_as_they_are(dtype: torch.dtype) -> None:
    plain = torch.randn(3, 64).to(dtype)
    rows = concat_rows([random_packed("Q4_0", 2, 64), plain])
    assert torch.equal(dequantize(rows, dtype)[2:], plain)


def test_an_embedding_dequantises_the_rows_asked_for() -> None:
    weight = random_packed("Q5_0", 7, 64)
    ids = torch.tensor([[6, 0], [3, 3]])
    found = embedding(ids, weight, torch.bfloat16)
    assert torch.equal(found, dequantize(weight, torch.bfloat16)[ids])


def test_a_stack_gives_its_experts_without_a_copy() -> None:
    experts = [random_packed("Q4_0", 4, 64, seed) for seed in range(3)]
    stack = stack_experts(experts)
    assert isinstance(stack, PackedStack)
    assert stack.shape == (3, 4, 64)
    assert stack.num_bytes == 3 * experts[0].num_bytes
    assert stack[1] is experts[1]
    twin = torch.stack([dequantize(expert, torch.float32) for expert in experts])
    assert torch.equal(dequantize(stack, torch.float32), twin)
    assert torch.equal(dequantize(stack.to("cpu"), torch.float32), twin)
    assert stack_experts(experts[:1]).shape == (1, 4, 64)


def test_stacks_of_mixed_formats_are_set_above_each_other_expert_by_expert() -> None:
    gate = stack_experts([random_packed("Q4_0", 2, 64, seed) for seed in range(2)])
    up = stack_experts([random_packed("Q8_0", 3, 64, seed) for seed in range(2)])
    rows = concat_rows([gate, up])
    assert rows.shape == (2, 5, 64)
    expected = torch.cat([dequantize(part, torch.float32) for part in (gate, up)], dim=1)
    assert torch.equal(dequantize(rows, torch.float32), expected)
    assert torch.equal(dequantize(rows[1], torch.float32), expected[1])


def test_permuting_packed_rows_permutes_the_matrix() -> None:
    weight, order = random_packed("Q6_K", 4, 256), torch.tensor([2, 0, 3, 1])
    found = permute_rows(weight, order)
    assert not isinstance(found, Tensor)
    twin = dequantize(weight, torch.float32)
    assert torch.equal(dequantize(found, torch.float32), permute_rows(twin, order))
    assert torch.equal(permute_rows(torch.arange(4), order), order)


def test_rows_of_a_matrix_are_a_view() -> None:
    weight = random_packed("Q4_0", 6, 64)
    part = weight.rows(2, 5)
    assert part.shape == (3, 64)
    assert part.data.data_ptr() == weight.data[2].data_ptr()
    assert weight.num_bytes == 6 * 36


def test_writing_out_converts_into_the_target() -> None:
    weight = random_packed("Q4_0", 6, 64)
    out = torch.zeros(8, 64, dtype=torch.bfloat16)
    dequantize_into(weight, out[1:7])
    assert torch.equal(out[1:7], dequantize(weight, torch.bfloat16))
    assert not out[0].any()


def test_moving_to_a_device_keeps_the_matrix() -> None:
    weight = random_packed("Q4_0", 2, 64)
    rows = concat_rows([weight, random_packed("Q8_0", 2, 64)])
    assert torch.equal(weight.to("cpu").data, weight.data)
    assert torch.equal(dequantize(rows.to("cpu"), torch.float32), dequantize(rows, torch.float32))


def test_a_shape_that_does_not_fit_the_data_is_our_mistake() -> None:
    with pytest.raises(AssertionError):
        PackedWeight("Q4_0", torch.zeros(2, 18, dtype=torch.uint8), None, (2, 64))
