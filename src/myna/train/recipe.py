"""The recipe of nano: its stages in order, and how far each has come.

Not here: what a stage does (stages); each is imported when it runs, since some need packages that
others do not.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from myna.core.errors import InvalidRequest, Unavailable
from myna.train import together
from myna.train.workshop import folder

Report = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """Name a stage.

    Attributes:
        name: also of its folder in the workshop, and of its module.
        purpose: in a few words.
        needs: stages that must have run.
        can_share: whether several processes can train it together.
    """

    name: str
    purpose: str
    needs: tuple[str, ...] = ()
    can_share: bool = False


STAGES = (
    Stage("tokenizer", "learn how text is cut into tokens"),
    Stage("icons", "render the pictures that have names"),
    Stage("voices", "let synthetic voices say sentences and questions", ("tokenizer",)),
    Stage("speech_data", "let the voice to imitate say sentences", ("tokenizer",)),
    Stage("codec", "learn codes for the sound of that voice", ("speech_data",)),
    Stage("code2wav", "learn to make waves of codes", ("codec",)),
    Stage("talker", "learn to speak text in codes", ("codec", "tokenizer"), can_share=True),
    Stage("ears", "learn to hear phonemes, words and events", ("voices",), can_share=True),
    Stage("eyes", "learn to see things, motions and letters", ("icons",), can_share=True),
    Stage("text", "learn to answer typed questions", ("tokenizer",), can_share=True),
    Stage("thinker", "learn all tasks at once", ("text", "ears", "eyes", "voices"), can_share=True),
    Stage("export", "write the model in the released form, in few bits", ("thinker", "talker")),
)


@dataclass(frozen=True)
class State:
    """Tell how far a stage has come, by the last line of its curve.

    Attributes:
        steps: taken so far; 0 where the stage does not count steps or has not run.
        hours: of training, on the machine it ran on.
        losses: the latest means.
    """

    steps: int = 0
    hours: float = 0.0
    losses: tuple[tuple[str, float], ...] = ()


def find(name: str) -> Stage:
    """Look a stage up.

    Raises:
        InvalidRequest: there is none of that name.
    """
    for stage in STAGES:
        if stage.name == name:
            return stage
    names = ", ".join(stage.name for stage in STAGES)
    raise InvalidRequest(f"there is no stage {name!r}; the stages are {names}.")


def run(
    name: str,
    *,
    minutes: float | None,
    report: Report,
    processes: int = 1,
    threads: int | None = None,
) -> None:
    """Run a stage, or go on with it.

    Args:
        name: of the stage.
        minutes: stop after about so long, to go on another time; None runs to the end.
        report: takes lines of progress; with several processes it must be a module's function.
        processes: that train together, each on batches of its own.
        threads: of all processes; None takes one for each core.

    Raises:
        Unavailable: a package is missing that only training needs.
        InvalidRequest: there is no such stage, or several processes cannot share it.
    """
    stage = find(name)
    work = partial(_work, stage, minutes=minutes, report=report)
    threads = threads or torch.get_num_threads()
    if processes == 1:
        torch.set_num_threads(threads)
        work()
        return
    if not stage.can_share:
        names = ", ".join(stage.name for stage in STAGES if stage.can_share)
        raise InvalidRequest(
            f"{processes} processes cannot share the stage {name!r}; they can share {names}."
        )
    together.run(work, processes=processes, threads=max(1, threads // processes))


def _work(stage: Stage, *, minutes: float | None, report: Report) -> None:
    try:
        module = importlib.import_module(f"myna.train.stages.{stage.name}")
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"the stage {stage.name!r} needs the package {error.name}, which is not installed; "
            "run `pip install 'myna[train]'`."
        ) from error
    module.run(minutes=minutes, report=report if together.team().rank == 0 else _silent)


def _silent(line: str) -> None:
    del line


def state(name: str) -> State:
    """Read how far a stage has come."""
    path = folder() / name / "curve.jsonl"
    if not path.exists():
        return State()
    row = json.loads(path.read_text().splitlines()[-1])
    losses = {key: value for key, value in row.items() if key not in ("step", "seconds")}
    return State(row["step"], row["seconds"] / 3600, tuple(losses.items()))
