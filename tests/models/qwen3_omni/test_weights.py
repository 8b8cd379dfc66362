"""Released checkpoints of Qwen3-Omni at full size: every tensor used, every parameter filled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from myna.core.errors import BadCheckpoint
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import SPEECH_RULES, THINKER_RULES, Speech
from myna.weights.checkpoint import MetaCheckpoint
from myna.weights.load import check_layout

LAYOUTS = Path(__file__).parents[1] / "layouts"


def config_of(name: str) -> Config:
    text = (LAYOUTS / f"qwen3-omni-30b-a3b-{name}.config.json").read_text()
    return Config.from_hf(json.loads(text))


def layout_of(name: str) -> MetaCheckpoint:
    return MetaCheckpoint.from_file(LAYOUTS / f"qwen3-omni-30b-a3b-{name}.tensors.json.gz")


def hollow_thinker(config: Config) -> Thinker:
    with torch.device("meta"):
        return Thinker(config.thinker)


def hollow_speech(config: Config) -> Speech:
    assert config.speech is not None
    with torch.device("meta"):
        return Speech(config.speech)


def test_every_tensor_of_instruct_is_used_by_one_of_the_two_parts() -> None:
    config, checkpoint = config_of("instruct"), layout_of("instruct")
    thinker = check_layout(hollow_thinker(config), checkpoint, THINKER_RULES)
    speech = check_layout(hollow_speech(config), checkpoint, SPEECH_RULES)
    assert len(checkpoint.tensors) == 28_010
    assert thinker.num_tensors + speech.num_tensors == 28_010
    assert thinker.ignored.keys().isdisjoint(speech.ignored)
    assert thinker.num_parameters == 31_719_205_488
    assert thinker.num_parameters + speech.num_parameters == 35_259_818_545
    assert thinker.num_bytes + speech.num_bytes == 70_519_637_090


def test_every_tensor_of_thinking_is_used() -> None:
    config, checkpoint = config_of("thinking"), layout_of("thinking")
    assert config.speech is None
    report = check_layout(hollow_thinker(config), checkpoint, THINKER_RULES)
    assert (report.num_tensors, dict(report.ignored)) == (19_743, {})
    assert report.num_parameters == 31_719_205_488


@pytest.mark.parametrize(
    ("component", "num_parameters"),
    [
        ("thinker.audio_tower.", 647_927_168),
        ("thinker.visual.", 538_631_408),
        ("thinker.model.", 30_221_219_840),
        ("thinker.lm_head.", 311_427_072),
        ("talker.model.", 3_167_291_392),
        ("talker.code_predictor.", 141_570_304),
        ("code2wav.", 216_016_577),
    ],
)
def test_components_have_the_published_sizes(component: str, num_parameters: int) -> None:
    checkpoint = layout_of("instruct")
    sizes = [info.num_values for n, info in checkpoint.tensors.items() if n.startswith(component)]
    assert sum(sizes) == num_parameters


def test_a_missing_tensor_of_speech_is_named() -> None:
    layout = {
        name: (info.dtype, info.shape) for name, info in layout_of("instruct").tensors.items()
    }
    del layout["talker.code_predictor.lm_head.3.weight"]
    with pytest.raises(BadCheckpoint, match=r"'talker\.code_predictor\.lm_head' lacks"):
        check_layout(hollow_speech(config_of("instruct")), MetaCheckpoint(layout), SPEECH_RULES)
