"""Write the model card of the model in the box, from what was measured and how it was trained.

    myna eval nano --json > src/myna/embedded/nano/evaluation.json
    python scripts/model_card.py --training "2 cores of an AMD EPYC"
    python scripts/model_card.py

With `--training` what the workshop tells of training is written to training.json beside the model
first. Stages whose curves do not tell their operations can be given them:
`--flop text=1.2e12 --flop ears=3.4e12`, of a step each.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from math import prod
from pathlib import Path

import msgspec

from myna.evals.card import CURVE_POINTS, CURVES, StageLog, TrainingLog, card, thinned
from myna.evals.curves import curves
from myna.evals.report import Report
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.tensors import tensors
from myna.train import recipe
from myna.train.sound.pool import open_pool
from myna.train.stages import export
from myna.train.voice.shards import read, shard_folders
from myna.train.workshop import folder

MODEL = Path(__file__).parents[1] / "src/myna/embedded/nano"
EVALUATION, TRAINING, CARD = "evaluation.json", "training.json", "README.md"


POOLS = ("loose", "sentences", "questions")
FRAMES_PER_HOUR = 360_000  # mel frames
NOT_LOSSES = ("step", "seconds", "flop")


def training_log(model: Path, machine: str, flop: dict[str, float]) -> TrainingLog:
    """Collect what the stages left in the workshop, and the size of the model's files.

    Args:
        model: in the box.
        machine: that it was trained on.
        flop: operations of a step, by stage, where its curve does not tell.
    """
    config = Config.from_hf(json.loads((model / "config.json").read_text()))
    harm = folder(export.NAME) / export.HARM
    frames = sum(int(open_pool(name).lengths.sum()) for name in POOLS)
    return TrainingLog(
        machine=machine,
        num_parameters=sum(prod(shape) for shape in tensors(config).values()),
        size_bytes=sum(path.stat().st_size for path in model.glob("*.safetensors")),
        stages=tuple(stage_logs(flop)),
        spoken_hours=round(sum(read(path).hours for path in shard_folders(folder("speech"))), 1),
        heard_hours=round(frames / FRAMES_PER_HOUR, 1),
        changed=tuple(harm.read_text().splitlines()),
    )


def stage_logs(flop: dict[str, float]) -> Iterator[StageLog]:
    """Read the curves of the stages that have one."""
    for stage in recipe.STAGES:
        path = folder(stage.name) / "curve.jsonl"
        if not path.exists():
            continue
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        steps = rows[-1]["step"]
        of_step = rows[-1].get("flop", flop.get(stage.name))
        main = next(key for key in rows[0] if key not in NOT_LOSSES)
        curve = thinned([row[main] for row in rows], CURVE_POINTS)
        yield StageLog(
            name=stage.name,
            purpose=stage.purpose,
            steps=steps,
            hours=round(rows[-1]["seconds"] / 3600, 2),
            curve=tuple(round(value, 4) for value in curve),
            flop=None if of_step is None else of_step * steps,
        )


def write_card(model: Path) -> None:
    """Write the card from the two files beside the model."""
    report = msgspec.json.decode((model / EVALUATION).read_bytes(), type=Report)
    training = msgspec.json.decode((model / TRAINING).read_bytes(), type=TrainingLog)
    (model / CARD).write_text(card(report, training), encoding="utf-8")
    (model / CURVES).write_text(curves(training.stages), encoding="utf-8")


def main() -> None:
    """Write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", metavar="MACHINE", help="what it was trained on")
    parser.add_argument("--flop", metavar="STAGE=NUMBER", action="append", default=[])
    parser.add_argument("--model", type=Path, default=MODEL, help="its folder")
    found = parser.parse_args()
    if found.training is not None:
        flop = {name: float(number) for name, _, number in (f.partition("=") for f in found.flop)}
        log = msgspec.json.encode(training_log(found.model, found.training, flop))
        (found.model / TRAINING).write_bytes(msgspec.json.format(log, indent=1) + b"\n")
    write_card(found.model)


if __name__ == "__main__":
    main()
