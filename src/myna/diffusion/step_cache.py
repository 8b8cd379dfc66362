"""Step cache: reuse what most blocks added a step ago, while the first one adds nearly the same.

Neighbouring steps differ little. The first block is run at every step; while what it adds is close
to what it added at the last step that was computed whole, so is, it is hoped, what all others add,
and that is taken again in place of running them. It is an approximation: how far it went is told.

Not here: the blocks, which are handed in as a function.
Source: arXiv:2411.19108 (reuse by the relative L1 change of what enters); diffusers 0.42.1
`FirstBlockCacheConfig`, after ParaAttention's First Block Cache (the first block as the judge).
Differs: only tokens of the picture that is made are compared and kept; passes of one step are
reused together or not at all; the last step is always computed.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from myna.core.events import StepReuse

Streams = tuple[Tensor, ...]  # (N, D) of each pass: the tokens of the picture that is made


class StepCache:
    """Decide for each step of one picture what to run, and keep what the next ones may reuse.

    Args:
        threshold: the change from which on a step is computed, relative; 0 reuses nothing.
        num_steps: of the schedule; the first and the last are always computed.
    """

    def __init__(self, threshold: float, num_steps: int) -> None:
        self._threshold = threshold
        self._num_steps = num_steps
        self._first: Streams = ()  # what the first block added at the last whole step
        self._others: Streams = ()  # what all others added then
        self._accepted: list[float] = []

    def complete(
        self, step_idx: int, before: Streams, after: Streams, run_others: Callable[[], Streams]
    ) -> Streams:
        """Give what comes out of all blocks at a step.

        Args:
            step_idx: counted from 0, each step once and in order.
            before: what went into the first block.
            after: what came out of it.
            run_others: runs the other blocks, and gives what comes out of the last one.
        """
        added = tuple(new - old for old, new in zip(before, after, strict=True))
        if 0 < step_idx < self._num_steps - 1:
            changes = list(map(relative_change, self._first, added))
            if all(change < self._threshold for change in changes):
                self._accepted.append(max(changes))
                return tuple(x + other for x, other in zip(after, self._others, strict=True))
        ended = run_others()
        self._first = added
        self._others = tuple(end - x for x, end in zip(after, ended, strict=True))
        return ended

    def report(self) -> StepReuse:
        """Tell what was reused so far, and how large the changes were that were accepted."""
        return StepReuse(
            num_reused=len(self._accepted),
            num_steps=self._num_steps,
            max_change=max(self._accepted, default=0.0),
            summed_change=sum(self._accepted, start=0.0),
        )


def relative_change(old: Tensor, new: Tensor) -> float:
    """Measure the mean absolute difference of two tensors, as a share of the old one's mean."""
    old, new = old.float(), new.float()
    return float((new - old).abs().mean() / old.abs().mean())
