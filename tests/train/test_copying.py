"""First weights that copy: what followed a token before is the likeliest to follow it again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from myna.layers.cache import PackedBatch
from myna.layers.decoder import TextDecoder
from myna.train.rectangle import Rectangle
from myna.train.stages import text

LENGTH = 10


@pytest.fixture(scope="module")
def decoder() -> TextDecoder:
    return text.build().requires_grad_(False)


def ranks(decoder: TextDecoder) -> Tensor:
    """Write random tokens twice, and rank each of the second time among all tokens."""
    draws = torch.Generator().manual_seed(1)
    once = torch.randint(256, 2500, (4, LENGTH), generator=draws)
    twice = torch.cat((once, once), 1)
    positions = torch.arange(2 * LENGTH).repeat(4).expand(3, -1)
    caches = [Rectangle(4) for _ in decoder.layers]
    hidden = decoder(PackedBatch(twice.flatten(), positions), caches)
    scores = decoder.logits(hidden).unflatten(0, (4, -1))[:, LENGTH:-1]
    wanted = scores.gather(-1, once[:, 1:, None])
    return (scores > wanted).sum(-1)


def test_repeated_tokens_are_foreseen_before_any_training(decoder: TextDecoder) -> None:
    found = ranks(decoder)
    assert (found == 0).float().mean() > 0.4
    assert found.float().median() < 5


def test_equal_seeds_build_equal_weights(decoder: TextDecoder) -> None:
    again = dict(text.build().named_parameters())
    assert all(torch.equal(again[name], value) for name, value in decoder.named_parameters())
