"""Codes of a frame: drawn from the nucleus, by each stream's own numbers, whoever is beside it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from myna.models.qwen3_omni.code_predictor import (
    NUCLEUS,
    CodePredictor,
    choose,
)


@pytest.fixture
def network(tiny_speech) -> CodePredictor:
    return tiny_speech.talker.code_predictor


def draw(num_streams: int) -> tuple[Tensor, Tensor]:
    hidden, first = torch.randn(2, num_streams, 32, generator=torch.manual_seed(0))
    return hidden, first


def test_a_frame_has_a_code_of_each_later_codebook(network) -> None:
    codes = network(*draw(3))
    assert (codes.shape, codes.dtype) == ((3, 3), torch.int64)
    assert codes.min() >= 0
    assert codes.max() < 64


def test_eight_streams_together_are_each_alone(network) -> None:
    hidden, first = draw(8)
    points = torch.rand(8, 3, generator=torch.manual_seed(1))
    together = network(hidden, first, points)
    alone = [network(hidden[i : i + 1], first[i : i + 1], points[i : i + 1]) for i in range(8)]
    assert torch.equal(together, torch.cat(alone))
    assert len({tuple(codes) for codes in together.tolist()}) > 1


def test_without_points_the_likeliest_code_is_taken() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]])
    assert choose(logits, None).tolist() == [1, 0]


@pytest.mark.parametrize(("point", "code"), [(0.0, 2), (0.62, 2), (0.63, 0), (1 - 2**-24, 0)])
def test_a_point_falls_into_the_nucleus(point: float, code: int) -> None:
    """Of shares 0.5, 0.3 and 0.2 the first two reach 0.8: 0.5 of 0.8 is 0.625."""
    logits = torch.tensor([[0.3, 0.2, 0.5]]).log()
    assert choose(logits, torch.tensor([point])).item() == code


def test_what_would_exceed_the_nucleus_still_reaches_it() -> None:
    """Before the code that crosses the bound there is less than the bound."""
    logits = torch.tensor([[0.5, 0.29, 0.21]]).log()
    found = {choose(logits, torch.tensor([point / 100])).item() for point in range(100)}
    assert found == {0, 1, 2}


def test_only_the_likeliest_few_are_drawn() -> None:
    logits = -torch.arange(200.0)[None] / 1000  # nearly equal, falling
    points = torch.linspace(0, 1 - 2**-24, 500)
    found = choose(logits.expand(500, -1), points)
    num_reached = found.unique().numel()
    assert found.max() == num_reached - 1
    assert num_reached == pytest.approx(NUCLEUS.top_k * NUCLEUS.top_p, abs=1.5)


def test_draws_follow_the_shares() -> None:
    logits = torch.tensor([[0.1, 0.6, 0.3]]).log().expand(10_000, -1)
    points = torch.rand(10_000, generator=torch.manual_seed(0))
    counts = choose(logits, points).bincount(minlength=3)
    assert counts[0] == 0
    assert float(counts[1]) == pytest.approx(10_000 * 2 / 3, rel=0.02)


def test_reading_what_was_never_written_shows(network) -> None:
    (cache, *_) = network.fresh_caches(2)
    assert cache.keys.isnan().all()
    cache.length = 1
    heads = torch.ones(2, 4, 16)
    assert cache.attend(heads, heads[:, :2], heads[:, :2]).isnan().all()


def test_it_runs_in_half_precision(network) -> None:
    rough = CodePredictor(network.config).bfloat16()
    rough.load_state_dict(network.state_dict())
    hidden, first = draw(2)
    assert rough(hidden.bfloat16(), first.bfloat16()).shape == (2, 3)
