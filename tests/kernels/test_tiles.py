"""Tiles of sixteen rows: the same blocks in another order."""

from __future__ import annotations

import math

import pytest
import torch

from myna.kernels import fused, packed
from myna.kernels.blocks import FORMATS, decode_rows, has_finite_scales
from myna.kernels.native import Native
from myna.kernels.tiles import ROW_KINDS, tile, tiled_rows, untile
from tiled import draw_packed, draw_rows

KINDS = list(ROW_KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_tiling_is_undone(kind: str) -> None:
    num_bytes = FORMATS[kind].num_bytes
    rows = draw_rows(ROW_KINDS[kind], 48, 96)
    tiled = tile(rows, num_bytes)
    assert not torch.equal(tiled, rows)
    assert torch.equal(untile(tiled, num_bytes), rows)
    assert torch.equal(decode_rows(kind, tiled), decode_rows(ROW_KINDS[kind], rows))


def test_a_tile_has_scales_first_then_four_columns_of_each_row() -> None:
    rows = torch.zeros(16, 34, dtype=torch.uint8)
    rows[3, :2] = torch.tensor([11, 12])  # the scale
    rows[3, 2:10] = torch.arange(1, 9)  # the first eight steps
    tiled = tile(rows, 34).flatten()
    assert tiled[6:8].tolist() == [11, 12]
    assert tiled[32 + 12 : 32 + 16].tolist() == [1, 2, 3, 4]
    assert tiled[32 + 64 + 12 : 32 + 64 + 16].tolist() == [5, 6, 7, 8]


def test_a_scale_of_one_byte_takes_one() -> None:
    rows = torch.zeros(16, 2 * 17, dtype=torch.uint8)
    rows[3, [0, 17]] = torch.tensor([11, 12], dtype=torch.uint8)  # the scales of two blocks
    rows[3, 1:9] = torch.arange(1, 9)  # the first eight bytes of steps
    tiled = tile(rows, 17).flatten()
    assert tiled[[3, 19]].tolist() == [11, 12]
    assert tiled[32 + 12 : 32 + 16].tolist() == [1, 2, 3, 4]
    assert tiled[32 + 64 + 12 : 32 + 64 + 16].tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize("kind", KINDS)
def test_single_rows_are_taken_out(kind: str) -> None:
    num_bytes = FORMATS[kind].num_bytes
    rows = draw_rows(ROW_KINDS[kind], 48, 64)
    ids = torch.tensor([[3, 47], [16, 3]])
    assert torch.equal(tiled_rows(tile(rows, num_bytes), ids, num_bytes), rows[ids])


@pytest.mark.parametrize("kind", KINDS)
def test_an_embedding_reads_tiles(kind: str) -> None:
    weight, ids = draw_packed(kind, 32, 64), torch.tensor([31, 0])
    found = packed.embedding(ids, weight, torch.float32)
    assert torch.equal(found, packed.dequantize(weight, torch.float32)[ids])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if FORMATS[kind].scale_offsets])
@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_scale_that_is_no_number_is_found(kind: str, bad: float) -> None:
    weight = draw_packed(kind, 32, 64)
    assert has_finite_scales(kind, weight.data)
    weight.data.view(-1)[34:36] = torch.tensor([bad]).half().view(torch.uint8)
    assert not has_finite_scales(kind, weight.data)


@pytest.mark.parametrize("kind", KINDS)
def test_decoded_tiles_are_equal_to_the_bit(
    kind: str, kernels: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "native", lambda: kernels)
    data = draw_packed(kind, 48, 96).data
    assert torch.equal(fused.decode_rows(kind, data, torch.float32), decode_rows(kind, data))
    stack = draw_packed(kind, 64, 96).data.view(2, 32, -1)
    assert torch.equal(fused.decode_rows(kind, stack, torch.float32), decode_rows(kind, stack))


def test_a_range_of_rows_is_one_of_whole_tiles() -> None:
    weight = draw_packed("Q4_0_R16", 48, 64)
    twin = packed.dequantize(weight, torch.float32)
    assert torch.equal(packed.dequantize(weight.rows(16, 48), torch.float32), twin[16:])
    with pytest.raises(AssertionError):
        weight.rows(8, 24)


def test_rows_that_make_no_whole_tiles_are_our_mistake() -> None:
    with pytest.raises(AssertionError):
        packed.PackedWeight("Q4_0_R16", torch.zeros(8, 18, dtype=torch.uint8), None, (8, 32))
