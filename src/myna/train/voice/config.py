"""The configuration of what speaks, for stages that need no tokenizer."""

from __future__ import annotations

from functools import cache

from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.speech_config import SpeechConfig
from myna.train.shapes import config

SPECIAL = (
    *("<|audio_end|>", "<|audio_start|>", "<|audio_pad|>", "<|image_pad|>", "<|video_pad|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|im_end|>", "<|im_start|>", "<tts_text_bos>"),
    *("<tts_text_eod>", "<tts_pad>", "system", "user", "assistant"),
)


@cache
def speech_config() -> SpeechConfig:
    """Describe talker, code predictor and code2wav; text tokens are numbered by stand-ins."""
    read = Config.from_hf(config({name: i for i, name in enumerate(SPECIAL)})).speech
    assert read is not None, "nano speaks"
    return read
