"""Llama's files: the order of rows in q and k, and the tensors listed."""

import pytest
import torch

from myna.kernels.packed import PackedWeight
from myna.models.llama.config import Config
from myna.models.llama.weights import halve_pairs, tensors
from myna.models.tiny import tiny_config


def test_rows_of_a_head_go_from_neighbours_to_halves() -> None:
    stored = torch.tensor([10, 20, 11, 21, 50, 60, 51, 61])  # two heads of four rows
    assert halve_pairs(stored, head_width=4).tolist() == [10, 11, 20, 21, 50, 51, 60, 61]


@pytest.mark.parametrize(("row", "stored"), [(0, 0), (1, 2), (31, 62), (32, 1), (33, 3), (63, 63)])
def test_rows_of_heads_of_64(row: int, stored: int) -> None:
    assert int(halve_pairs(torch.arange(64), head_width=64)[row]) == stored


def test_packed_rows_move_whole() -> None:
    data = torch.arange(8 * 34, dtype=torch.int32).to(torch.uint8).view(8, 34)
    packed = PackedWeight("Q8_0", data, None, (8, 32))
    moved = halve_pairs(packed, head_width=4)
    assert isinstance(moved, PackedWeight)
    assert torch.equal(moved.data, halve_pairs(data, head_width=4))


def test_it_works_without_values() -> None:
    assert halve_pairs(torch.empty(8, 3, device="meta"), head_width=4).shape == (8, 3)


def test_rows_that_are_no_whole_heads_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="invalid for input of size 6"):
        halve_pairs(torch.arange(6), head_width=4)


def test_biases_are_listed_with_their_modules() -> None:
    plain = tensors(Config.from_hf(tiny_config("llama")))
    biased = tensors(Config.from_hf(tiny_config("llama", attention_bias=True, mlp_bias=True)))
    extra = {name.split(".", 3)[3] for name in biased.keys() - plain.keys()}
    assert extra == {
        *(f"self_attn.{name}_proj.bias" for name in "qkvo"),
        *(f"mlp.{name}_proj.bias" for name in ("gate", "up", "down")),
    }
