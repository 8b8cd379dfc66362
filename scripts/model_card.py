"""Write the model card of the model in the box, from what was measured and how it was trained.

    myna eval nano --json > src/myna/embedded/nano/evaluation.json
    python scripts/model_card.py --training "2 cores of an AMD EPYC"
    python scripts/model_card.py

With `--training` the curves in the workshop are written to training.json beside the model first.
"""

from __future__ import annotations

import argparse
import json
from math import prod
from pathlib import Path

import msgspec

from myna.evals.card import StageLog, TrainingLog, card, thinned
from myna.evals.report import Report
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.tensors import tensors
from myna.train import recipe
from myna.train.workshop import folder

MODEL = Path(__file__).parents[1] / "src/myna/embedded/nano"
EVALUATION, TRAINING, CARD = "evaluation.json", "training.json", "README.md"


def training_log(model: Path, machine: str) -> TrainingLog:
    """Collect what the stages left in the workshop, and the size of the model's files."""
    config = Config.from_hf(json.loads((model / "config.json").read_text()))
    stages = []
    for stage in recipe.STAGES:
        path = folder(stage.name) / "curve.jsonl"
        if not path.exists():
            continue
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        main = next(key for key in rows[0] if key not in ("step", "seconds"))
        stages.append(
            StageLog(
                name=stage.name,
                purpose=stage.purpose,
                steps=rows[-1]["step"],
                hours=round(rows[-1]["seconds"] / 3600, 2),
                curve=tuple(round(value, 4) for value in thinned([row[main] for row in rows])),
            )
        )
    return TrainingLog(
        machine=machine,
        num_parameters=sum(prod(shape) for shape in tensors(config).values()),
        size_bytes=sum(path.stat().st_size for path in model.glob("*.safetensors")),
        stages=tuple(stages),
    )


def write_card(model: Path) -> None:
    """Write the card from the two files beside the model."""
    report = msgspec.json.decode((model / EVALUATION).read_bytes(), type=Report)
    training = msgspec.json.decode((model / TRAINING).read_bytes(), type=TrainingLog)
    (model / CARD).write_text(card(report, training), encoding="utf-8")


def main() -> None:
    """Write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", metavar="MACHINE", help="what it was trained on")
    machine = parser.parse_args().training
    if machine is not None:
        log = msgspec.json.format(msgspec.json.encode(training_log(MODEL, machine)), indent=1)
        (MODEL / TRAINING).write_bytes(log + b"\n")
    write_card(MODEL)


if __name__ == "__main__":
    main()
