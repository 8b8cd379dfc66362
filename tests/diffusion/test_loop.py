"""The loop: it arrives, it tells what it sees, it leaves alone what it must."""

from __future__ import annotations

import torch
from torch import Tensor

from myna.diffusion.loop import Kept, walk

SIGMAS = (1.0, 0.6, 0.2, 0.0)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_perfect_network_arrives_at_the_picture() -> None:
    picture, noise = random(1, 4, 2, seed=0), random(1, 4, 2, seed=1)
    seen = []

    def predict(latents: Tensor, step_idx: int) -> Tensor:
        sigma = SIGMAS[step_idx]
        assert torch.allclose(latents, (1 - sigma) * picture + sigma * noise, atol=1e-6)
        return noise - picture

    found = walk(noise, SIGMAS, predict, on_step=lambda idx, out: seen.append((idx, out)))
    assert torch.allclose(found, picture, atol=1e-6)
    assert [idx for idx, _ in seen] == [0, 1, 2]
    assert all(torch.allclose(out, picture, atol=1e-6) for _, out in seen)


def test_what_is_kept_is_the_picture_itself_in_the_end() -> None:
    picture, noise = random(4, 2, seed=0), random(1, 4, 2, seed=1)
    is_open = torch.tensor([True, False, True, False])
    kept = Kept(picture, noise, is_open)
    found = walk(noise, SIGMAS, lambda latents, _: latents, kept=kept)
    assert torch.equal(found[0, ~is_open], picture[~is_open])
    assert not torch.allclose(found[0, is_open], picture[is_open])
