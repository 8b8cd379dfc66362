"""Qwen2's configuration, from the released file."""

import json
from pathlib import Path

import pytest

from myna.core.errors import Unsupported
from myna.models.qwen2.config import Config

QWQ = Path(__file__).parents[1] / "layouts" / "qwq-32b.config.json"


def test_the_released_qwq_config_is_read() -> None:
    config = Config.from_hf(json.loads(QWQ.read_text()))
    assert (config.width, config.num_layers, config.hidden_width) == (5120, 64, 27648)
    assert (config.num_heads, config.num_kv_heads, config.head_width) == (40, 8, 128)
    assert (config.norm_eps, config.rope.theta, config.vocab_size) == (1e-5, 1e6, 152064)
    assert (config.context_length, config.tied, config.dtype) == (40960, False, "bfloat16")


def test_what_has_no_meaning_here_is_listed() -> None:
    config = Config.from_hf({**json.loads(QWQ.read_text()), "novelty": 1})
    assert "novelty" in config.ignored
    assert "attention_dropout" in config.ignored
    assert "hidden_size" not in config.ignored


def test_yarn_starts_from_the_context_on_the_model_card() -> None:
    config = Config.from_hf(json.loads(QWQ.read_text()))
    assert config.with_yarn(factor=4.0).context_length == 131072


def test_sliding_windows_are_refused() -> None:
    values = {**json.loads(QWQ.read_text()), "use_sliding_window": True, "max_window_layers": 32}
    with pytest.raises(Unsupported, match="sliding window of 32768 positions from layer 32 on"):
        Config.from_hf(values)
