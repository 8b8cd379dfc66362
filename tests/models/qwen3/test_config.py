"""Qwen3's configuration, dense and mixture-of-experts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from myna.core.errors import BadCheckpoint
from myna.models.qwen3.config import Config
from myna.models.tiny import tiny_config

GGUF = {
    "general.architecture": "qwen3moe",
    "qwen3moe.block_count": 2,
    "qwen3moe.context_length": 256,
    "qwen3moe.embedding_length": 32,
    "qwen3moe.feed_forward_length": 64,
    "qwen3moe.attention.head_count": 4,
    "qwen3moe.attention.head_count_kv": 2,
    "qwen3moe.attention.key_length": 16,
    "qwen3moe.attention.value_length": 16,
    "qwen3moe.attention.layer_norm_rms_epsilon": 1e-6,
    "qwen3moe.rope.freq_base": 1e6,
    "qwen3moe.expert_count": 8,
    "qwen3moe.expert_used_count": 2,
    "qwen3moe.expert_feed_forward_length": 16,
}
STORED = SimpleNamespace(tensors={"token_embd.weight": SimpleNamespace(shape=(96, 32))})


def moe(**changes: object) -> Config:
    return Config.from_hf(tiny_config("qwen3_moe", num_hidden_layers=4, **changes))


def test_a_dense_model_has_no_experts() -> None:
    config = Config.from_hf(tiny_config("qwen3"))
    assert config.moe is None
    assert config.head_width == 16


def test_only_the_dense_model_has_a_head_width_of_its_own() -> None:
    assert Config.from_hf(tiny_config("qwen3", head_dim=None)).head_width == 128
    assert moe(head_dim=None).head_width == 8


def test_experts_are_read() -> None:
    config = moe()
    assert config.moe is not None
    assert (config.moe.num_experts, config.moe.num_chosen, config.moe.hidden_width) == (8, 2, 16)
    assert config.moe.renormalise is True
    assert config.moe.layers == {0, 1, 2, 3}


def test_both_names_of_the_number_of_experts_are_read() -> None:
    config = moe(num_experts=None, num_local_experts=5)
    assert config.moe is not None
    assert config.moe.num_experts == 5


def test_steps_and_lists_say_which_layers_have_experts() -> None:
    second, listed = moe(decoder_sparse_step=2).moe, moe(mlp_only_layers=[0, 3]).moe
    assert second is not None
    assert listed is not None
    assert second.layers == {1, 3}
    assert listed.layers == {1, 2}


def test_gguf_experts_are_read_and_always_renormalised() -> None:
    config = Config.from_gguf(GGUF, STORED)
    assert config.moe is not None
    assert (config.moe.num_experts, config.moe.num_chosen, config.moe.hidden_width) == (8, 2, 16)
    assert config.moe.renormalise is True


@pytest.mark.parametrize(
    "key",
    [
        "num_experts",
        "num_experts_per_tok",
        "moe_intermediate_size",
        "norm_topk_prob",
        "decoder_sparse_step",
        "mlp_only_layers",
        "attention_bias",
    ],
)
@pytest.mark.parametrize("value", ["x", -1, 1.5, {}])
def test_wrong_types_of_its_own_fields_are_refused(key: str, value: object) -> None:
    with pytest.raises(BadCheckpoint, match=f"`{key}` is"):
        moe(**{key: value})


def test_more_experts_than_any_machine_could_list_are_refused() -> None:
    with pytest.raises(BadCheckpoint, match="`num_experts` is 20000, but an integer from 1 to"):
        moe(num_experts=20000)


def test_no_token_can_choose_more_experts_than_there_are() -> None:
    with pytest.raises(BadCheckpoint, match="an integer from 1 to 8 is expected"):
        moe(num_experts_per_tok=9)


@pytest.mark.parametrize("key", [key for key in GGUF if "expert" in key])
def test_wrong_gguf_types_of_its_own_keys_are_refused(key: str) -> None:
    with pytest.raises(BadCheckpoint, match=f"`{key}` is 'x'"):
        Config.from_gguf({**GGUF, key: "x"}, STORED)
