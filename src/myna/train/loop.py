"""The loop that all stages share: bfloat16 weights with float32 masters, AdamW (and Muon for some
matrices), a learning-rate curve, checkpoints to go on from, a line of progress.

A batch is a function of the step's number alone, so a run that was interrupted and one that was not
see the same data.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from myna.train.together import team

STATE = "state.safetensors"
MUON_RATE = 0.02  # at the height of the curve
MUON_DECAY = 0.01
KEPT_STATE = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")
Losses = Mapping[str, Tensor]  # the first is minimised; all are reported
Refine = Callable[[str, Tensor], Tensor]  # (name, master) -> what the network computes with


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Say how far, how fast and how often.

    Attributes:
        steps: of the whole run, over all sittings.
        rate: the highest learning rate; it warms up, then falls along a cosine to a tenth.
        warmup: steps until the rate is reached.
        decay: of matrices; vectors do not decay.
        clip: the largest norm of all gradients together.
        turned: matrices whose names begin so are trained by Muon, which makes the directions of an
            update equally long; it learns in fewer steps, each of which costs more.
        save_every_s: seconds between checkpoints.
        minutes: stop this sitting after so long; None runs to the end.
    """

    steps: int
    rate: float
    warmup: int = 200
    decay: float = 0.05
    clip: float = 1.0
    turned: str | tuple[str, ...] | None = None
    save_every_s: float = 120.0
    minutes: float | None = None

    def rate_at(self, step: int) -> float:
        """Give the learning rate of a step."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


class Trainer:
    """Train the parameters of a network that ask for gradients.

    Args:
        network: in float32; it is turned to `dtype` in place, and the masters keep float32.
        folder: of the checkpoint (`state.safetensors`) and the curve (`curve.jsonl`).
        schedule: of the run.
        refine: what becomes of a master before the network gets it, such as rounding to four bits.
        dtype: that the network computes in.
        report: takes lines of progress.
    """

    def __init__(
        self,
        network: nn.Module,
        folder: Path,
        schedule: Schedule,
        *,
        refine: Refine | None = None,
        dtype: torch.dtype = torch.bfloat16,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.network = network
        self.folder = folder
        self.schedule = schedule
        self.refine = refine
        self.report = report
        self.team = team()
        self.step = 0
        self.seconds = 0.0
        named = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.masters = {name: p.detach().float().clone() for name, p in named.items()}
        network.to(dtype)
        self.working = {name: p for name, p in network.named_parameters() if name in named}
        # What the optimizers hold: the masters, or matrices that are views of them.
        self.leaves = {
            name: master.flatten(0, -2) if self._is_turned(name) else master
            for name, master in self.masters.items()
        }
        self.optimizers = self._optimizers()
        self._resume()
        self._publish()

    def run(self, losses_at: Callable[[int], Losses]) -> None:
        """Go on until the schedule's end, or this sitting's.

        Args:
            losses_at: makes the batch of a step and computes its losses.
        """
        started = saved = told = time.monotonic()
        before = self.seconds
        sums: dict[str, float] = {}
        counted = 0
        while self.step < self.schedule.steps:
            losses = losses_at(self.step)
            next(iter(losses.values())).backward()  # type: ignore[no-untyped-call]
            self._update()
            self.step += 1
            counted += 1
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            now = time.monotonic()
            self.seconds = before + now - started
            if now - told > 20 or self.step == self.schedule.steps:
                self._tell({name: total / counted for name, total in sums.items()})
                sums, counted, told = {}, 0, now
            if now - saved > self.schedule.save_every_s:
                self.save()
                saved = now
            if self.schedule.minutes and self.team.agree(
                wish=now - started > 60 * self.schedule.minutes
            ):
                break
        self.save()

    def weights(self) -> dict[str, Tensor]:
        """Give the masters, by name."""
        return dict(self.masters)

    def save(self) -> None:
        """Write a checkpoint; the old one stays whole until the new one is.

        Of a team, the first process writes for all.
        """
        if self.team.rank:
            return
        state = {f"master.{name}": value for name, value in self.masters.items()}
        for name, leaf in self.leaves.items():
            for optimizer in self.optimizers:
                for key, value in optimizer.state.get(leaf, {}).items():
                    state[f"{key}.{name}"] = torch.as_tensor(value)
        path = self.folder / STATE
        part = path.with_suffix(".part")
        save_file(state, part, {"step": str(self.step), "seconds": str(self.seconds)})
        part.replace(path)

    def _resume(self) -> None:
        path = self.folder / STATE
        if not path.exists():
            return
        with safe_open(path, framework="pt") as file:
            kept = file.metadata()
            self.step, self.seconds = int(kept["step"]), float(kept["seconds"])
            names = {id(leaf): name for name, leaf in self.leaves.items()}
            there = set(file.keys())
            for name, master in self.masters.items():
                master.copy_(file.get_tensor(f"master.{name}"))
            for optimizer in self.optimizers:
                for leaf in (leaf for group in optimizer.param_groups for leaf in group["params"]):
                    keys = {key: f"{key}.{names[id(leaf)]}" for key in KEPT_STATE}
                    optimizer.state[leaf] = {
                        key: file.get_tensor(kept) for key, kept in keys.items() if kept in there
                    }

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        """Give those of the schedule; each group remembers its highest rate."""
        schedule = self.schedule
        by_muon = [leaf for name, leaf in self.leaves.items() if self._is_turned(name)]
        others = [leaf for name, leaf in self.leaves.items() if not self._is_turned(name)]
        groups = [
            {"params": [leaf for leaf in others if leaf.dim() > 1], "weight_decay": schedule.decay},
            {"params": [leaf for leaf in others if leaf.dim() <= 1], "weight_decay": 0.0},
        ]
        optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, lr=schedule.rate, betas=(0.9, 0.98), eps=1e-8, fused=True)
        ]
        if by_muon:
            optimizers.append(torch.optim.Muon(by_muon, lr=MUON_RATE, weight_decay=MUON_DECAY))
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["highest_lr"] = group["lr"]
        return optimizers

    def _is_turned(self, name: str) -> bool:
        turned = self.schedule.turned
        return turned is not None and name.startswith(turned) and self.masters[name].dim() > 1

    def _update(self) -> None:
        for name, parameter in self.working.items():
            leaf, grad = self.leaves[name], parameter.grad
            leaf.grad = None if grad is None else grad.float().view_as(leaf)
            parameter.grad = None
        self.team.take_mean(list(self.leaves.values()))
        norm = nn.utils.clip_grad_norm_(list(self.leaves.values()), self.schedule.clip)
        share = self.schedule.rate_at(self.step) / self.schedule.rate
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = share * group["highest_lr"]
            if torch.isfinite(norm):  # one bad batch is left out rather than learnt from
                optimizer.step()
        self._publish()

    @torch.no_grad()
    def _publish(self) -> None:
        for name, parameter in self.working.items():
            master = self.masters[name]
            parameter.copy_(master if self.refine is None else self.refine(name, master))

    def _tell(self, means: Mapping[str, float]) -> None:
        if self.team.rank:
            return
        left = self.seconds / max(1, self.step) * (self.schedule.steps - self.step)
        row = {"step": self.step, "seconds": round(self.seconds, 1), **means}
        with (self.folder / "curve.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        shown = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        self.report(f"step {self.step}/{self.schedule.steps}  {shown}  {left / 60:.0f} min left")


def load_weights(network: nn.Module, folder: Path) -> None:
    """Put what a stage learnt into a network: every parameter that bears a name of the stage's.

    Heads, which a stage has for itself alone, are left; what it did not train stays as it is.

    Args:
        network: its parameters bear the names that the stage's network gave them.
        folder: of the stage.

    Raises:
        FileNotFoundError: the stage has not run.
    """
    path = folder / STATE
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; run the stage {folder.name!r} first.")
    parameters = dict(network.named_parameters())
    with safe_open(path, framework="pt") as file, torch.no_grad():
        for key in file.keys():  # noqa: SIM118 - it is no mapping
            kind, _, name = key.partition(".")
            if kind == "master" and name in parameters:
                parameters[name].copy_(file.get_tensor(key))
