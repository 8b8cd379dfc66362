"""Several processes train one network: each learns from batches of its own, and all take one step.

They meet in shared memory: each process writes its gradients there, waits for the others, and takes
the mean of all. They begin alike and step alike, so their weights stay equal. For networks as small
as nano this is a tenth faster than as many threads.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier

import torch
from torch import Tensor

from myna.core.errors import Unavailable

MAX_NUMBERS = 1 << 25  # of all gradients; memory is taken for those that there are
PATIENCE_S = 900.0  # for the slowest process, which may still be reading its data
SEED_STRIDE = 1_000_003
POLL_S = 0.2


@dataclass(frozen=True)
class Team:
    """Know the processes that train together; by itself a process is a team of one.

    Attributes:
        rank: of this process; the first one reports and writes checkpoints.
        rows: (processes, MAX_NUMBERS) float32 in shared memory.
        barrier: that each process waits at for the others.
    """

    rank: int = 0
    rows: Tensor | None = None
    barrier: Barrier | None = None

    def seed(self, seed: int) -> int:
        """Give this process's own seed, so that it draws other batches than the others."""
        return seed + SEED_STRIDE * self.rank

    def take_mean(self, leaves: Sequence[Tensor]) -> None:
        """Replace the gradients of each process by the mean of all; none counts as zeros.

        Args:
            leaves: float32, the same ones in the same order in every process.
        """
        if self.rows is None:
            return
        sizes = [leaf.numel() for leaf in leaves]
        mine = self.rows[self.rank, : sum(sizes)].split_with_sizes(sizes)
        for part, leaf in zip(mine, leaves, strict=True):
            if leaf.grad is None:
                part.zero_()
            else:
                part.copy_(leaf.grad.flatten())
        self._wait()
        mean = self.rows[:, : sum(sizes)].mean(0)
        self._wait()  # until then, nobody writes the next ones
        for part, leaf in zip(mean.split_with_sizes(sizes), leaves, strict=True):
            leaf.grad = part.view_as(leaf)

    def agree(self, *, wish: bool) -> bool:
        """Tell every process what the first one wishes."""
        if self.rows is None:
            return wish
        if self.rank == 0:
            self.rows[0, 0] = float(wish)
        self._wait()
        agreed = bool(self.rows[0, 0])
        self._wait()
        return agreed

    def _wait(self) -> None:
        assert self.barrier is not None
        self.barrier.wait(PATIENCE_S)


_team = Team()


def team() -> Team:
    """Give the team that this process belongs to."""
    return _team


def run(work: Callable[[], None], *, processes: int, threads: int) -> None:
    """Do the same work in several processes, which then are a team.

    Args:
        work: can be sent to another process.
        processes: at least two.
        threads: of each.

    Raises:
        Unavailable: one of them failed, and told why; the others were stopped.
    """
    context = multiprocessing.get_context("spawn")
    rows = torch.empty(processes, MAX_NUMBERS)
    rows.share_memory_()  # type: ignore[no-untyped-call]
    barrier = context.Barrier(processes)
    members = [
        context.Process(target=_join, args=(work, Team(rank, rows, barrier), threads))
        for rank in range(processes)
    ]
    for member in members:
        member.start()
    try:
        while any(member.is_alive() for member in members):
            _check(members)
            time.sleep(POLL_S)
        _check(members)
    finally:
        for member in members:
            member.terminate()
            member.join()


def _check(members: Sequence[BaseProcess]) -> None:
    for rank, member in enumerate(members):
        if member.exitcode:
            raise Unavailable(
                f"process {rank} of {len(members)} that trained together ended with "
                f"{member.exitcode}; it told why above, and the others were stopped"
            )


def _join(work: Callable[[], None], seat: Team, threads: int) -> None:
    global _team
    _team = seat
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    work()


def _leave_with_parent() -> None:
    """End this process when that which began it is killed: else it would train on, unseen."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
