"""Where tokens stand: pictures around their centres, text behind them."""

from __future__ import annotations

import torch

from myna.layers.rope import RopeConfig
from myna.models.qwen_image_edit.rope import PictureRopeTable, SectionedRopeTable


def test_rows_and_columns_are_counted_from_the_centre() -> None:
    table = PictureRopeTable((16, 56, 56))
    places = table._places(2, (64, 3))
    assert places[:3].tolist() == [[2, -32, -2], [2, -32, -1], [2, -32, 0]]
    assert places[-1].tolist() == [2, 31, 0]


def test_text_begins_behind_the_longest_half_of_a_side() -> None:
    table = PictureRopeTable((2, 2, 2))
    angle = table.text(2, [(64, 64), (8, 70)]).turns[:, 0, 0].angle()
    expected = torch.remainder(torch.tensor([35.0, 36.0]) + torch.pi, 2 * torch.pi) - torch.pi
    assert torch.allclose(angle, expected, atol=1e-5)


def test_turning_keeps_lengths() -> None:
    rope = PictureRopeTable((4, 6, 6)).pictures([(2, 3)])
    x = torch.randn(6, 2, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(rope.rotate(x).norm(dim=-1), x.norm(dim=-1), atol=1e-5)


def test_each_axis_turns_a_run_of_frequencies() -> None:
    table = SectionedRopeTable(RopeConfig(theta=1e6), 16, section=(2, 3, 3))
    assert table.axes.tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    flat = table.at(torch.tensor([[5], [5], [5]]), torch.float32)
    bent = table.at(torch.tensor([[5], [7], [5]]), torch.float32)
    differs = (flat.cos != bent.cos)[0, 0, :8]
    assert differs.nonzero()[:, 0].tolist() == [2, 3, 4]
