"""First codes are chosen as the reference's processors do, and circles are noticed."""

from __future__ import annotations

import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
)

from myna.speech.codes import STALLED_FRAMES, choose, draw_points, is_stalled

NUM_CODES = 200


def test_draws_have_the_references_probabilities():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, NUM_CODES, generator=generator) * 3
    past, banned = [3, 9, 9, 40], [0, 7, 150]
    seen, suppressed = torch.zeros(1, NUM_CODES, dtype=torch.bool), torch.zeros(NUM_CODES).bool()
    seen[0, past] = True
    suppressed[banned] = True
    reference = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(1.05),
            SuppressTokensLogitsProcessor(banned),
            TemperatureLogitsWarper(0.9),
            TopKLogitsWarper(50),
        ]
    )(torch.tensor([past]), logits.clone()).softmax(-1)[0]
    points = (torch.arange(4000) + 0.5) / 4000
    drawn = choose(
        logits.expand(4000, -1), seen=seen.expand(4000, -1), suppressed=suppressed, points=points
    )
    found = torch.bincount(drawn, minlength=NUM_CODES) / 4000
    assert torch.allclose(found, reference, atol=3 / 4000)
    likeliest = choose(logits, seen=seen, suppressed=suppressed, points=None)
    assert int(likeliest) == int(reference.argmax())


def test_the_largest_point_stays_among_the_codes():
    logits = torch.zeros(1, NUM_CODES)
    nothing = torch.zeros(1, NUM_CODES, dtype=torch.bool)
    last = torch.tensor([1 - 2**-24])
    assert 0 <= int(choose(logits, seen=nothing, suppressed=nothing[0], points=last)) < NUM_CODES


def test_circles_are_noticed_after_a_while():
    for period in (1, 2, 4):
        codes = [i % period for i in range(STALLED_FRAMES)]
        assert is_stalled([99, *codes])
        assert not is_stalled(codes[1:])
    assert not is_stalled([i % 5 for i in range(500)])
    assert not is_stalled([1] * 100 + [2])


def test_points_are_fractions_that_hang_on_seed_and_frame_alone() -> None:
    points = draw_points(2**62 + 1, 7, 16)
    assert torch.equal(points, draw_points(2**62 + 1, 7, 16))
    assert points[:3].tolist() == draw_points(2**62 + 1, 7, 3).tolist()
    assert not torch.equal(points, draw_points(1, 7, 16))
    assert not torch.equal(points, draw_points(2**62 + 1, 8, 16))
    many = torch.cat([draw_points(0, frame, 64) for frame in range(200)])
    assert 0 <= float(many.min()) < float(many.max()) < 1
    assert abs(float(many.mean()) - 0.5) < 0.01
    assert bool((many * 2**24 == (many * 2**24).round()).all())
