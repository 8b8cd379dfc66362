"""A configuration that could hold nothing is refused."""

from __future__ import annotations

import pytest

from myna.engine.config import EngineConfig


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"max_context": 0}, "`max_context` is 0 but must be at least 1"),
        ({"max_running": 0}, "`max_running` is 0 but must be at least 1"),
        ({"num_valid_tokens": 0}, "`num_valid_tokens` is 0 but must be at least 1"),
        ({"num_kv_tokens": 15}, "`num_kv_tokens` is 15 but a block alone has 16"),
        ({"max_guesses": -1}, "`max_guesses` is -1 but must be 0 or more"),
        (
            {"is_deterministic": True, "max_guesses": 4},
            "`max_guesses` is 4 but must be 0 in deterministic mode",
        ),
        (
            {"is_deterministic": True, "prefill_chunk_tokens": 100},
            r"`prefill_chunk_tokens` is 100 but must be a multiple of `tokens_per_block` \(16\)",
        ),
    ],
)
def test_a_wrong_value_is_refused(fields, text):
    with pytest.raises(ValueError, match=text):
        EngineConfig(**{"max_context": 64, "num_kv_tokens": 64, **fields})


def test_the_longest_sequence_is_bounded_by_context_and_cache():
    assert EngineConfig(max_context=100, num_kv_tokens=64).max_total_tokens == 64
    assert EngineConfig(max_context=50, num_kv_tokens=64).max_total_tokens == 50
    assert EngineConfig(max_context=100, num_kv_tokens=70).num_blocks == 4
