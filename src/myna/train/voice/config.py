"""The configuration of what speaks, for stages that need no tokenizer."""

from __future__ import annotations

from functools import cache

from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.speech_config import SpeechConfig
from myna.train.shapes import NAMED_TOKENS, config


@cache
def speech_config() -> SpeechConfig:
    """Describe talker, code predictor and code2wav; text tokens are numbered by stand-ins."""
    read = Config.from_hf(config({name: i for i, name in enumerate(NAMED_TOKENS)})).speech
    assert read is not None, "nano speaks"
    return read
