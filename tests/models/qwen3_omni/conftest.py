"""Speech of a tiny model, for tests of streaming."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import SPEECH_RULES, THINKER_RULES, Speech
from myna.models.tiny_omni import write_tiny_omni
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    return write_tiny_omni(tmp_path_factory.mktemp("tiny_omni"))


@pytest.fixture(scope="session")
def tiny_config(tiny_folder: Path) -> Config:
    return Config.from_hf(json.loads((tiny_folder / "config.json").read_text()))


@pytest.fixture(scope="session")
def tiny_thinker(tiny_folder: Path, tiny_config: Config) -> Thinker:
    with torch.device("meta"):
        thinker = Thinker(tiny_config.thinker)
    load_weights(thinker, open_checkpoint(tiny_folder), THINKER_RULES, dtype=torch.float32)
    return thinker


@pytest.fixture(scope="session")
def tiny_speech(tiny_folder: Path, tiny_config: Config) -> Speech:
    assert tiny_config.speech is not None
    with torch.device("meta"):
        speech = Speech(tiny_config.speech)
    load_weights(speech, open_checkpoint(tiny_folder), SPEECH_RULES, dtype=torch.float32)
    return speech
