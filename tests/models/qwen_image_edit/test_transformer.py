"""The transformer: a shortcut sees the first block's work, and may leave out the others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from myna.models.qwen_image_edit.transformer import Pass, Shortcut, Streams
from myna.models.qwen_image_edit.weights import EditTransformer

GRIDS = [(2, 3), (2, 2)]
NUM_LATENTS = 6


def made(transformer: EditTransformer, seed: int = 0) -> Pass:
    generator = torch.Generator().manual_seed(seed)
    latents, pictures, text = (
        torch.randn(*shape, generator=generator) for shape in ((6, 64), (4, 64), (5, 32))
    )
    return transformer.prepare(latents, pictures, text, GRIDS)


def velocities(
    transformer: EditTransformer, shortcut: Shortcut | None
) -> tuple[list[int], tuple[Tensor, ...]]:
    """Give the blocks that ran, and what came out."""
    ran = []

    def blocks():
        for idx, block in enumerate(transformer.transformer_blocks):
            ran.append(idx)
            yield block

    with torch.inference_mode():
        (step,) = transformer.modulator([0.5])
        passes = [made(transformer), made(transformer, seed=1)]
        out = transformer(passes, step, num_latents=NUM_LATENTS, blocks=blocks(), shortcut=shortcut)
    return ran, out


def test_a_shortcut_that_runs_all_blocks_changes_nothing(transformer: EditTransformer) -> None:
    plain = velocities(transformer, None)
    taken = velocities(transformer, lambda before, after, run_others: run_others())
    assert plain[0] == taken[0] == [0, 1, 2]
    assert all(torch.equal(*pair) for pair in zip(plain[1], taken[1], strict=True))


def test_a_shortcut_may_leave_out_all_blocks_but_the_first(transformer: EditTransformer) -> None:
    seen: list[Streams] = []

    def shortcut(before: Streams, after: Streams, run_others: Callable[[], Streams]) -> Streams:
        seen.extend((before, after))
        return after

    ran, out = velocities(transformer, shortcut)
    assert ran == [0]
    assert [x.shape for streams in seen for x in streams] == [(6, 32)] * 4
    assert torch.equal(seen[0][0], made(transformer).image[:NUM_LATENTS])
    assert not torch.equal(seen[0][0], seen[1][0])
    assert [x.shape for x in out] == [(6, 64)] * 2
