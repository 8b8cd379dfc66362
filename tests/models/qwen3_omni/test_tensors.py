"""The listed tensors are the released ones, and the rules bring each of them back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.tensors import tensors
from myna.models.tiny_omni import tiny_omni_config
from myna.weights.checkpoint import MetaCheckpoint

LAYOUTS = Path(__file__).parents[1] / "layouts"


@pytest.mark.parametrize("name", ["instruct", "thinking"])
def test_the_listed_tensors_are_the_released_ones(name: str) -> None:
    stem = f"qwen3-omni-30b-a3b-{name}"
    config = Config.from_hf(json.loads((LAYOUTS / f"{stem}.config.json").read_text()))
    checkpoint = MetaCheckpoint.from_file(LAYOUTS / f"{stem}.tensors.json.gz")
    assert tensors(config) == {key: info.shape for key, info in checkpoint.tensors.items()}


def test_a_model_without_speech_lists_its_thinker_only() -> None:
    whole = tensors(Config.from_hf(tiny_omni_config()))
    silent = tensors(Config.from_hf(tiny_omni_config(has_speech=False)))
    assert silent == {name: shape for name, shape in whole.items() if name.startswith("thinker.")}


def test_listing_takes_no_memory() -> None:
    with torch.device("meta"):
        assert tensors(Config.from_hf(tiny_omni_config()))
