"""What processes that train together are given to do, where a new process can import it from."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from myna.train import together
from myna.train.loop import Schedule, Trainer
from myna.train.together import team


def learn(folder: Path, *, minutes: float | None = None) -> None:
    """Learn one number: the first process is shown 1, the second 3."""
    network = nn.Linear(1, 1)
    nn.init.constant_(network.weight, 5.0)
    network.bias.requires_grad_(False).zero_()
    schedule = Schedule(steps=300, rate=0.1, warmup=1, decay=0.0, minutes=minutes)
    trainer = Trainer(network, folder, schedule, dtype=torch.float32)
    wanted = 1.0 + 2.0 * team().rank
    trainer.run(lambda step: {"loss": (network(torch.ones(1, 1)) - wanted).square().mean()})
    save_file(trainer.weights(), folder / f"{team().rank}.safetensors")


def fail_second() -> None:
    if team().rank == 1:
        raise SystemExit(3)
    team().agree(wish=True)


def beat(folder: Path) -> None:
    """Tell of being alive."""
    for count in range(10_000):
        (folder / f"{team().rank}.beat").write_text(str(count))
        time.sleep(0.02)


def together_for_ever(folder: Path) -> None:
    together.run(partial(beat, folder), processes=2, threads=1)
