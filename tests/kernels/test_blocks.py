"""Every block format against the `gguf` package, bit for bit, and against written-down values."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor

from myna.kernels import blocks
from myna.kernels.blocks import BLOCKS_AT_ONCE, decode_rows, has_finite_scales

NUM_BLOCKS = 320
# What the gguf package knows too; test_tiles.py and test_quantize_encode.py have the others.
FORMATS = {
    kind: block
    for kind, block in blocks.FORMATS.items()
    if kind in gguf.GGMLQuantizationType.__members__
}
QUANTIZED = [name for name, block in FORMATS.items() if block.scale_offsets]

# Byte k of the block is (37 k + 11) mod 256, the scale 0.5, the minimum (if any) 0.25.
GOLDEN = {
    "Q4_0": ({0: -1.5, 1: 1, 16: -1.5, 31: 0}, -10.5),
    "Q4_1": ({0: 7.75, 1: 2.25, 16: 4.75, 31: 6.25}, 130.5),
    "Q5_0": ({0: 4.5, 1: -1, 16: 7, 31: 0.5}, 7.5),
    "Q5_1": ({0: 9.75, 1: 12.25, 16: 9.75, 31: 2.75}, 260.5),
    "Q8_0": ({0: 42.5, 1: 61, 16: -45.5, 31: -24}, -88),
    "Q2_K": ({0: 16.5, 1: 0, 33: -1.25, 128: 3.75, 255: 2.25}, 1029.5),
    "Q3_K": ({0: 40.5, 1: -54, 33: 22, 128: 1, 255: 21}, 479),
    "Q4_K": ({0: 157.75, 1: -12.75, 33: 10, 128: 211.5, 255: 24.25}, 27_220),
    "Q5_K": ({0: 405.75, 1: -12.75, 33: -2, 128: 523.5, 255: 54.25}, 58_108),
    "Q6_K": ({0: -715.5, 1: 848, 33: -336, 128: -175.5, 255: -30}, 2_306),
}


def random_rows(kind: str, num_rows: int, num_blocks: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    row_bytes = FORMATS[kind].num_bytes * num_blocks
    return torch.randint(0, 256, (num_rows, row_bytes), generator=generator, dtype=torch.uint8)


def golden_block(kind: str) -> Tensor:
    block = FORMATS[kind]
    data = (37 * torch.arange(block.num_bytes) + 11).to(torch.uint8)
    for offset, value in zip(block.scale_offsets, (0.5, 0.25), strict=False):
        data[offset : offset + 2] = torch.tensor([value], dtype=torch.float16).view(torch.uint8)
    return data


@pytest.mark.parametrize("kind", FORMATS)
def test_random_blocks_decode_as_the_gguf_package_does_to_the_bit(kind: str) -> None:
    data = random_rows(kind, 4, NUM_BLOCKS // 4)
    with np.errstate(all="ignore"):  # random scales are often infinite
        expected = gguf.quants.dequantize(data.numpy(), gguf.GGMLQuantizationType[kind])
    found = decode_rows(kind, data)
    assert found.shape == expected.shape
    expected = torch.from_numpy(expected)
    assert torch.equal(found.isnan(), expected.isnan())
    is_number = ~expected.isnan()
    assert torch.equal(found[is_number].view(torch.int32), expected[is_number].view(torch.int32))


@pytest.mark.parametrize("kind", GOLDEN)
def test_a_known_block_decodes_to_known_values(kind: str) -> None:
    values, total = GOLDEN[kind]
    found = decode_rows(kind, golden_block(kind))
    assert {index: found[index].item() for index in values} == values
    assert found.sum().item() == total


@pytest.mark.parametrize("kind", FORMATS)
def test_sizes_are_those_of_the_gguf_package(kind: str) -> None:
    num_values, num_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    assert (FORMATS[kind].num_values, FORMATS[kind].num_bytes) == (num_values, num_bytes)
    assert FORMATS[kind].row_bytes(3 * num_values) == 3 * num_bytes


def test_leading_axes_are_kept() -> None:
    data = random_rows("Q4_0", 6, 2)
    stacked = decode_rows("Q4_0", data.view(2, 3, -1))
    assert stacked.shape == (2, 3, 64)
    assert torch.equal(stacked.view(6, 64).nan_to_num(), decode_rows("Q4_0", data).nan_to_num())


def test_rows_of_a_buffer_at_an_odd_address_decode_alike() -> None:
    data = golden_block("Q8_0")
    shifted = torch.cat([torch.zeros(1, dtype=torch.uint8), data])[1:]
    assert torch.equal(decode_rows("Q8_0", shifted), decode_rows("Q8_0", data))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("kind", QUANTIZED)
def test_a_scale_that_is_no_number_is_found(kind: str, value: float) -> None:
    block = FORMATS[kind]
    data = golden_block(kind).repeat(5, 3)
    assert has_finite_scales(kind, data)
    for offset in block.scale_offsets:
        broken = data.clone()
        start = block.num_bytes + offset
        broken[3, start : start + 2] = torch.tensor([value], dtype=torch.float16).view(torch.uint8)
        assert not has_finite_scales(kind, broken)


def test_a_bad_scale_is_found_beyond_the_first_slab() -> None:
    data = torch.zeros(BLOCKS_AT_ONCE + 1, 18, dtype=torch.uint8)
    assert has_finite_scales("Q4_0", data)
    data[-1, 1] = 0x7C
    assert not has_finite_scales("Q4_0", data)
