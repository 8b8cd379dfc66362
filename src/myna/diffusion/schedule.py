"""How much noise is left after each step on the way from noise to a picture.

Not here: the steps themselves (loop).
Source: diffusers 0.42.1 `FlowMatchEulerDiscreteScheduler` with dynamic exponential shifting;
arXiv:2403.03206 §5.3.2. Lightning's values: the schedule that its authors publish with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from myna.core.errors import InvalidRequest

MAX_STEPS = 200


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Say how noise decreases: the larger the picture, the longer it stays noisy.

    Attributes:
        base_tokens: tokens of the picture to which `base_shift` belongs.
        max_tokens: tokens of the picture to which `max_shift` belongs.
        base_shift: of a small picture.
        max_shift: of a large one.
        terminal: the share of noise before the last step; `None` leaves what comes out.
    """

    base_tokens: int = 256
    max_tokens: int = 8192
    base_shift: float = 0.5
    max_shift: float = 0.9
    terminal: float | None = 0.02

    def shift(self, num_tokens: int) -> float:
        """Give the shift of a picture of `num_tokens`."""
        slope = (self.max_shift - self.base_shift) / (self.max_tokens - self.base_tokens)
        return num_tokens * slope + self.base_shift - slope * self.base_tokens

    def sigmas(self, num_steps: int, num_tokens: int) -> tuple[float, ...]:
        """Give the share of noise before each step, and 0 after the last.

        Args:
            num_steps: S.
            num_tokens: of the picture to be made, without those that it is made from.

        Returns:
            S + 1 numbers from 1 down to 0, all of them exact in float32.

        Raises:
            InvalidRequest: there are no steps, or too many.
        """
        if not 1 <= num_steps <= MAX_STEPS:
            raise InvalidRequest(
                f"{num_steps} steps were asked for; give 1 to {MAX_STEPS}", param="steps"
            )
        even = np.linspace(1.0, 1 / num_steps, num_steps).astype(np.float32)
        weight = math.exp(self.shift(num_tokens))
        shifted = weight / (weight + (1 / even - 1))
        if self.terminal is not None and num_steps > 1:
            done = 1 - shifted
            shifted = 1 - done / (done[-1] / (1 - self.terminal))
        return (*(float(value) for value in shifted), 0.0)


LIGHTNING = Schedule(base_shift=math.log(3), max_shift=math.log(3), terminal=None)
