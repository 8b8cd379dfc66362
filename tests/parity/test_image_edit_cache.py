"""The step cache reuses where the reference does, and gives the same."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from diffusers import FirstBlockCacheConfig, QwenImageTransformer2DModel
from torch import Tensor

from closeness import compare
from image_edit_pair import EditPair, load_pair
from myna.diffusion.step_cache import StepCache
from myna.models.tiny_image_edit import write_tiny_image_edit

GRID = (4, 7)  # of the picture that is made; beside others, only its tokens are compared
NUM_STEPS = 10
NOISE = torch.linspace(0.9, 0.3, NUM_STEPS).tolist()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> EditPair:
    return load_pair(write_tiny_image_edit(tmp_path_factory.mktemp("edit")))


@pytest.fixture
def cached(pair: EditPair) -> Iterator[QwenImageTransformer2DModel]:
    network = pair.transformer_reference
    yield network
    network.disable_cache()


def inputs() -> tuple[list[Tensor], Tensor]:
    """Draw latents for each step, alike but not the same, and a text."""
    generator = torch.Generator().manual_seed(0)
    count = GRID[0] * GRID[1]
    start, way = (torch.randn(count, 64, generator=generator) for _ in range(2))
    latents = [start + 0.05 * number * way for number in range(NUM_STEPS)]
    return latents, torch.randn(9, 32, generator=generator)


@pytest.mark.parametrize(("threshold", "expected"), [(0.4, 1), (0.6, 5), (0.8, 7)])
def test_steps_are_reused_as_in_the_reference(pair, cached, threshold, expected) -> None:
    latents, text = inputs()
    cached.enable_cache(FirstBlockCacheConfig(threshold=threshold))
    cache = StepCache(threshold, NUM_STEPS + 1)  # the reference knows of no last step
    theirs, ours = {}, {}
    with torch.inference_mode(), cached.cache_context("cond"):
        steps = pair.transformer.modulator(NOISE)
        for idx, (noise, step) in enumerate(zip(NOISE, steps, strict=True)):
            theirs[str(idx)] = cached(
                latents[idx][None], text[None], None, torch.tensor([noise]), [[(1, *GRID)]]
            ).sample[0]
            made = pair.transformer.prepare(latents[idx], latents[idx][:0], text, [GRID])
            (ours[str(idx)],) = pair.transformer(
                [made],
                step,
                num_latents=len(latents[idx]),
                shortcut=partial(cache.complete, idx),
            )
    assert cache.report().num_reused == expected
    compare(ours, theirs)
