"""Goldens: what tiny checkpoints compute, stage by stage, kept from one change to the next.

Parity says what is right, at the reference's version; goldens say that nothing moved. A change that
means to move them runs `python tests/models/test_goldens.py` and explains itself.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from myna.layers.cache import PackedBatch
from myna.layers.dense_cache import DenseCache
from myna.models.registry import blueprint_for_folder, family_for_config
from myna.models.tiny import TINY_CONFIGS, draw, tiny_config
from myna.weights.checkpoint import MemoryCheckpoint
from myna.weights.load import load_weights

FOLDER = Path(__file__).parent / "goldens"
PROMPT = tuple(range(7, 40, 3))
NUM_TOKENS = 24
NUM_VALUES = 6  # of each stage's last row
RELATIVE = 2e-4  # other processors add in another order


def network(model_type: str):
    config = tiny_config(model_type)
    family = family_for_config(config)
    shapes = family.tensors(family.config_from_hf(config))
    weights = {name: draw(name, shape, seed=0) for name, shape in shapes.items()}
    checkpoint = MemoryCheckpoint(weights)
    blueprint = blueprint_for_folder(config, checkpoint.tensors)
    built = blueprint.build()
    load_weights(built, checkpoint, blueprint.rules, dtype=torch.float32)
    return built


def compute(model_type: str) -> dict[str, object]:
    """Run a prompt, keep a few values of every stage, then continue with the likeliest tokens."""
    built = network(model_type)
    stages: dict[str, list[float]] = {}

    def keep(name: str, out: Tensor) -> None:
        stages[name] = [round(value, 6) for value in out[-1].flatten()[:NUM_VALUES].tolist()]

    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: keep(name, out))
        for name, module in built.named_modules()
        if name and not isinstance(module, nn.ModuleList) and ".experts" not in name
    ]
    caches = [DenseCache() for _ in range(built.num_layers)]
    prompt = torch.tensor(PROMPT)
    hidden = built(PackedBatch(prompt, torch.arange(len(prompt))), caches)
    for hook in hooks:
        hook.remove()
    keep("logits", built.logits(hidden))
    tokens = [int(built.logits(hidden[-1:]).argmax())]
    for position in range(len(prompt), len(prompt) + NUM_TOKENS - 1):
        batch = PackedBatch(torch.tensor(tokens[-1:]), torch.tensor([position]))
        tokens.append(int(built.logits(built(batch, caches)).argmax()))
    return {"stages": stages, "tokens": tokens}


@pytest.mark.parametrize("model_type", TINY_CONFIGS)
def test_a_tiny_checkpoint_computes_what_it_always_did(model_type: str) -> None:
    golden = json.loads((FOLDER / f"{model_type}.json").read_text())
    found = compute(model_type)
    assert found["tokens"] == golden["tokens"]
    assert found["stages"].keys() == golden["stages"].keys()
    for name, values in golden["stages"].items():
        assert found["stages"][name] == pytest.approx(values, rel=RELATIVE, abs=RELATIVE), name


if __name__ == "__main__":
    for each in TINY_CONFIGS:
        text = json.dumps(compute(each), indent=1)
        (FOLDER / f"{each}.json").write_text(text + "\n")
