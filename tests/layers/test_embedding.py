"""Embedding: rows of a float matrix, and of one that stays packed."""

import torch

from myna.kernels.packed import PackedWeight, dequantize
from myna.layers.embedding import Embedding


def test_rows_are_given_in_the_dtype_asked_for() -> None:
    layer = Embedding(7, 4)
    torch.nn.init.normal_(layer.weight)
    rows = layer(torch.tensor([6, 0, 6]), torch.bfloat16)
    assert torch.equal(rows, layer.weight[[6, 0, 6]].bfloat16())


def test_packed_rows_equal_those_of_the_float_twin() -> None:
    data = torch.randint(0, 100, (7, 34), dtype=torch.uint8, generator=torch.manual_seed(0))
    packed = PackedWeight("Q8_0", data, None, (7, 32))
    layer = Embedding(7, 32)
    layer.set_packed("weight", packed)
    ids = torch.tensor([3, 6])
    assert torch.equal(layer(ids, torch.float32), dequantize(packed, torch.float32)[ids])
