"""Blocks copied into tiles stand for the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from myna.kernels.packed import Packed, PackedWeight, dequantize
from myna.weights.checkpoint import MemoryCheckpoint
from myna.weights.load import load_weights
from myna.weights.tiling import CHUNK_BYTES, SLAB_BYTES, HugePages, tiled
from tiled import draw_packed, draw_rows


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0"])
@pytest.mark.parametrize("shape", [(48, 64), (3, 16, 96), (SLAB_BYTES // 18 + 16, 32)])
def test_tiles_stand_for_the_same_numbers(kind: str, shape: tuple[int, ...]) -> None:
    *rows, columns = shape
    count = torch.Size(rows).numel()
    count -= count % 16
    shape = shape if len(shape) == 3 else (count, columns)
    data = draw_rows(kind, count, columns).view(*shape[:-1], -1)
    weight = PackedWeight(kind, data, None, shape)
    found = tiled(weight, HugePages())
    assert isinstance(found, PackedWeight)
    assert found.kind == f"{kind}_R16"
    assert torch.equal(dequantize(found, torch.float32), dequantize(weight, torch.float32))


@pytest.mark.parametrize(
    "weight",
    [
        torch.ones(16, 32),
        PackedWeight("Q4_0", draw_rows("Q4_0", 24, 32), None, (24, 32)),  # one and a half tiles
        PackedWeight("Q4_1", torch.zeros(16, 20, dtype=torch.uint8), None, (16, 32)),
    ],
)
def test_what_cannot_be_tiled_stays_as_it_is(weight: torch.Tensor | PackedWeight) -> None:
    assert tiled(weight, HugePages()) is weight


def test_what_is_in_tiles_already_is_copied_as_it_is() -> None:
    weight, pages = draw_packed("Q4_F8_R16", 48, 64), HugePages()
    first, second = tiled(weight, pages), tiled(weight, pages)
    for found in (first, second):
        assert isinstance(found, PackedWeight)
        assert found.kind == weight.kind
        assert torch.equal(found.data, weight.data)
        assert found.data.data_ptr() != weight.data.data_ptr()
        assert found.data.data_ptr() % 64 == 0


def test_memory_is_handed_out_once_and_outlives_who_handed_it_out() -> None:
    pages = HugePages()
    pieces = [pages.take(count).fill_(number) for number, count in enumerate((100, 3, 1 << 20))]
    pieces.append(pages.take(CHUNK_BYTES + 1)[:5].fill_(3))  # more than is left
    pages.settle()
    del pages
    for number, piece in enumerate(pieces):
        assert (piece == number).all()


class Holder(nn.Module):
    """Hold one matrix that may stay packed."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight: nn.Parameter | Packed = nn.Parameter(torch.empty(shape))

    def set_packed(self, name: str, packed: Packed) -> None:
        delattr(self, name)
        setattr(self, name, packed)


class Counting(MemoryCheckpoint):
    """Note what is given back, and what is read ahead."""

    def __init__(self, weights: dict[str, PackedWeight]) -> None:
        super().__init__(weights)
        self.forgotten: list[str] = []
        self.populated: list[str] = []

    def populate(self, name: str) -> None:
        self.populated.append(name)

    def forget(self, name: str, *, for_good: bool = False) -> None:
        assert not for_good
        self.forgotten.append(name)


@pytest.mark.parametrize("tiles", [True, False])
def test_loading_copies_into_tiles_where_it_is_asked_to(tiles: bool) -> None:
    weight = PackedWeight("Q4_0", draw_rows("Q4_0", 32, 64), None, (32, 64))
    checkpoint = Counting({"weight": weight})
    with torch.device("meta"):
        holder = Holder(32, 64)
    load_weights(holder, checkpoint, (), dtype=torch.float32, keep_packed=True, tiles=tiles)
    assert isinstance(holder.weight, PackedWeight)
    assert holder.weight.kind == ("Q4_0_R16" if tiles else "Q4_0")
    assert checkpoint.forgotten == (["weight"] if tiles else [])
    assert checkpoint.populated == ([] if tiles else ["weight"])
