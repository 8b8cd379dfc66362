"""The loop from noise to latents: Euler steps along the velocity that a network predicts.

Not here: the network, which is handed in, and how noise decreases (schedule).
Source: diffusers 0.42.1 `FlowMatchEulerDiscreteScheduler.step`; `QwenImageEditInpaintPipeline`
(what lies outside of a mask).
Differs: latents stay float32 between steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

Predict = Callable[[Tensor, int], Tensor]
"""Called with latents (B, N, C) and the number of the step; gives their velocity (B, N, C)."""

OnStep = Callable[[int, Tensor], None]
"""Called after each step with its number and what the picture will be, as far as one can see."""


@dataclass(frozen=True)
class Kept:
    """Hold what is not to change.

    Attributes:
        latents: (N, C) of the picture as it is.
        noise: (B, N, C) that the loop began with.
        is_open: (N,) bool, where the picture may change.
    """

    latents: Tensor
    noise: Tensor
    is_open: Tensor

    def put_back(self, latents: Tensor, sigma: float) -> Tensor:
        """Set what is kept in its place, as noisy as the rest: (B, N, C) -> (B, N, C)."""
        noisy = (1 - sigma) * self.latents + sigma * self.noise
        return latents.where(self.is_open[:, None], noisy)


def walk(
    noise: Tensor,
    sigmas: Sequence[float],
    predict: Predict,
    *,
    kept: Kept | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Go from noise to latents.

    Args:
        noise: (B, N, C) float32.
        sigmas: the share of noise before each step, and after the last.
        predict: the network.
        kept: what is not to change.
        on_step: hears of each step.

    Returns:
        (B, N, C) float32.
    """
    latents = noise
    for step_idx, (before, after) in enumerate(pairwise(sigmas)):
        velocity = predict(latents, step_idx).float()
        if on_step is not None:
            on_step(step_idx, latents - before * velocity)
        latents = latents + (after - before) * velocity
        if kept is not None:
            latents = kept.put_back(latents, after)
    return latents
