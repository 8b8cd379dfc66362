"""Count the floating-point operations of one step of each stage, for the model card.

    python scripts/count_flop.py text eyes thinker

Each stage takes one step in a scratch workshop that borrows the data of the real one. Operations
are counted while gradients flow back, which is two thirds of a step: what else a stage computes,
such as shares of right answers, has no gradients. Forward passes of frozen parts are left out.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from myna.train import loop, recipe
from myna.train.workshop import folder

STEP_OF_BACKWARD = 1.5
ONE_STEP_MINUTES = 1e-6


class Backward(TorchDispatchMode):
    """Count operations of matrix products and convolutions while gradients flow back."""

    def __init__(self) -> None:
        super().__init__()
        self.flop = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[Any, ...] = (),  # of any operation
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Run an operation, and count it if it is one of the backward pass."""
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(getattr(func, "overloadpacket", None))
        if count is not None and torch._C._current_graph_task_id() != -1:
            self.flop += count(*args, **(kwargs or {}), out_val=out)
        return out


def count(stage: str) -> float:
    """Let a stage take one step from its beginning, and give the operations of it."""
    real = folder()
    with tempfile.TemporaryDirectory() as scratch:
        borrowed = Path(scratch) / "train" / "nano"
        borrowed.mkdir(parents=True)
        for path in real.iterdir():
            if path.name != stage:
                (borrowed / path.name).symlink_to(path)
        (borrowed / stage).mkdir()
        for path in (real / stage).iterdir():
            if path.name not in (loop.STATE, "curve.jsonl"):
                (borrowed / stage / path.name).symlink_to(path)
        os.environ["MYNA_HOME"] = scratch
        with Backward() as counted:
            recipe.run(stage, minutes=ONE_STEP_MINUTES, report=lambda line: None)
    return STEP_OF_BACKWARD * counted.flop


def main(stages: Sequence[str]) -> None:
    """Print what `scripts/model_card.py` takes."""
    home = os.environ.get("MYNA_HOME")
    for stage in stages:
        found = count(stage)
        os.environ.pop("MYNA_HOME")
        if home is not None:
            os.environ["MYNA_HOME"] = home
        print(f"--flop {stage}={found:.3e}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
