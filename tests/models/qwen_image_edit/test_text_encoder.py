"""Prompts that begin alike: what they share is read once, and nothing changes."""

from __future__ import annotations

import pytest
import torch

from myna.models.qwen_image_edit.text_encoder import TextEncoder, positions
from myna.models.qwen_image_edit.vision_encoder import window_order
from myna.models.tiny_omni import token_ids

EXACT = 1e-5
PAD = token_ids()["<|image_pad|>"]
GRIDS = [(4, 6)]
PICTURE = [3, *[PAD] * 6, 4]


def patches() -> torch.Tensor:
    return torch.rand(24, 1176, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("shared_own", [0, 1, 3])
def test_a_shared_beginning_changes_nothing(text_encoder: TextEncoder, shared_own: int) -> None:
    words = [10, 11, 12, 13, 14]
    with torch.inference_mode():
        whole = text_encoder([5, *PICTURE, *words[:-1]], [words[-1:]], patches(), GRIDS).whole(0)
        shared = [5, *PICTURE, *words[:shared_own]]
        encoded = text_encoder(shared, [words[shared_own:], [20, 21]], patches(), GRIDS)
    assert torch.allclose(encoded.whole(0), whole, rtol=0, atol=EXACT)
    assert len(encoded.whole(1, start=2)) == len(shared) - 2 + 2


def test_layers_may_be_handed_over(text_encoder: TextEncoder) -> None:
    with torch.inference_mode():
        expected = text_encoder([5, *PICTURE], [[7]], patches(), GRIDS)
        found = text_encoder([5, *PICTURE], [[7]], patches(), GRIDS, iter(text_encoder.layers))
    assert torch.equal(found.own[0], expected.own[0])


def test_a_picture_stands_still_and_what_follows_begins_behind_it(
    text_encoder: TextEncoder,
) -> None:
    found = positions(torch.tensor([5, *PICTURE, 8]), GRIDS, text_encoder.config)
    assert found[0].tolist() == [0, 1, *[2] * 6, 5, 6]
    assert found[1].tolist() == [0, 1, 2, 2, 2, 3, 3, 3, 5, 6]
    assert found[2].tolist() == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6]


def test_windows_at_the_edges_are_smaller_and_none_is_empty(text_encoder: TextEncoder) -> None:
    order, lengths = window_order([(4, 8), (5, 1)], text_encoder.config.vision)
    assert lengths == [16, 16, 4, 1]
    assert order[:5].tolist() == [0, 1, 2, 3, 8]
    assert sorted(order.tolist()) == list(range(37))
