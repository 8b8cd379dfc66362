"""Nano's configuration as stages read it: by what their networks are built."""

from __future__ import annotations

from functools import cache

from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.speech_config import SpeechConfig
from myna.train import shapes
from myna.train.language.tokenizer import token_ids


@cache
def nano_config() -> Config:
    """Describe nano, its tokens numbered as its tokenizer does."""
    return Config.from_hf(shapes.config(token_ids()))


def speech_config() -> SpeechConfig:
    """Describe nano's talker, code predictor and code2wav."""
    speech = nano_config().speech
    assert speech is not None, "nano speaks"
    return speech
