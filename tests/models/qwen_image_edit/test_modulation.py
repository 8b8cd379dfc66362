"""Modulation of a whole schedule equals that of each step by itself."""

from __future__ import annotations

import torch

from myna.models.qwen_image_edit.weights import EditTransformer

EXACT = 1e-5  # of max(1, RMS): the order of sums may differ, nothing else
NOISE = (1.0, 0.8, 0.3, 0.02)


def test_a_schedule_at_once_equals_its_steps_one_by_one(transformer: EditTransformer) -> None:
    together = transformer.modulator(NOISE)
    for noise, found in zip(NOISE, together, strict=True):
        (alone,) = transformer.modulator([noise])
        for name in ("image", "text", "out"):
            left, right = getattr(found, name), getattr(alone, name)
            rms = float(right.pow(2).mean().sqrt())
            assert rms > 0.1
            assert float((left - right).abs().max()) <= EXACT * max(1.0, rms)


def test_blocks_may_be_handed_over(transformer: EditTransformer) -> None:
    (expected,) = transformer.modulator([0.5])
    (found,) = transformer.modulator([0.5], iter(transformer.modulator.blocks))
    assert torch.equal(found.image, expected.image)


def test_every_block_has_its_own_shifts(transformer: EditTransformer) -> None:
    (step,) = transformer.modulator([0.5])
    image, text = step.block(1)
    width = transformer.config.width
    assert torch.equal(image.attention.shift, step.image[1, :width])
    assert torch.equal(text.mlp.gate, step.text[1, -width:])
