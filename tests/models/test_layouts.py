"""Released checkpoints at full size: every tensor is used, every parameter filled.

Only names and shapes are needed, so the largest model takes no memory. The layouts list the
released tensors: `{name: [dtype, shape]}`.
"""

import json
from pathlib import Path

from myna.models.registry import blueprint_for_folder
from myna.weights.checkpoint import MetaCheckpoint
from myna.weights.load import check_layout

LAYOUTS = Path(__file__).parent / "layouts"


def test_qwq_32b() -> None:
    checkpoint = MetaCheckpoint.from_file(LAYOUTS / "qwq-32b.tensors.json.gz")
    config = json.loads((LAYOUTS / "qwq-32b.config.json").read_text())
    blueprint = blueprint_for_folder(config, checkpoint.tensors)
    report = check_layout(blueprint.build(), checkpoint, blueprint.rules)
    assert (report.num_tensors, dict(report.ignored)) == (771, {})
    assert report.num_parameters == blueprint.costs().parameters == 32_763_876_352
    assert report.num_bytes == 65_527_752_704


def test_the_listed_tensors_are_the_released_ones() -> None:
    checkpoint = MetaCheckpoint.from_file(LAYOUTS / "qwq-32b.tensors.json.gz")
    config = json.loads((LAYOUTS / "qwq-32b.config.json").read_text())
    blueprint = blueprint_for_folder(config, checkpoint.tensors)
    listed = blueprint.family.tensors(blueprint.config)
    assert listed == {name: info.shape for name, info in checkpoint.tensors.items()}
    assert list(listed)[:2] == list(checkpoint.tensors)[:2]
