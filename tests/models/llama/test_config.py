"""Llama's configuration: SmolLM2's and R1-Distill's values."""

from types import SimpleNamespace

import pytest

from myna.core.errors import BadCheckpoint
from myna.layers.rope import Llama3
from myna.models.llama.config import Config

R1_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "tie_word_embeddings": False,
    "eos_token_id": [128001, 128008, 128009],
}
GGUF = {
    "llama.block_count": 30,
    "llama.context_length": 8192,
    "llama.embedding_length": 576,
    "llama.feed_forward_length": 1536,
    "llama.attention.head_count": 9,
    "llama.attention.head_count_kv": 3,
    "llama.attention.layer_norm_rms_epsilon": 9.999999747378752e-06,
    "llama.rope.freq_base": 100000.0,
    "llama.rope.dimension_count": 64,
    "llama.vocab_size": 49152,
}


class Stored:
    def __init__(self, *names: str) -> None:
        self.tensors = {name: SimpleNamespace(shape=(49152, 576)) for name in names}

    def read(self, name: str) -> object:
        raise AssertionError(name)


def test_llama3_scaling_is_read_from_an_old_file() -> None:
    config = Config.from_hf(R1_8B)
    assert isinstance(config.rope.scaling, Llama3)
    assert config.rope.scaling.original_context == 8192
    assert (config.context_length, config.head_width) == (131072, 128)
    assert (config.attention_bias, config.mlp_bias) == (False, False)


def test_smollm2s_metadata_is_read() -> None:
    config = Config.from_gguf(GGUF, Stored("token_embd.weight"))
    assert (config.num_heads, config.num_kv_heads, config.head_width) == (9, 3, 64)
    assert (config.rope.theta, config.rope.scaling) == (1e5, None)
    assert config.norm_eps == pytest.approx(1e-5)


def test_biases_are_there_when_their_tensors_are() -> None:
    stored = Stored("token_embd.weight", "blk.0.attn_q.bias", "blk.0.ffn_gate.bias")
    config = Config.from_gguf(GGUF, stored)
    assert (config.attention_bias, config.mlp_bias) == (True, True)


@pytest.mark.parametrize("key", ["attention_bias", "mlp_bias"])
def test_wrong_types_of_its_own_fields_are_refused(key: str) -> None:
    with pytest.raises(BadCheckpoint, match=f"`{key}` is 'no', but true or false is expected"):
        Config.from_hf({**R1_8B, key: "no"})


def test_mixtral_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match=r"`llama\.expert_count` is 8, but 0 \(Mixtral"):
        Config.from_gguf({**GGUF, "llama.expert_count": 8}, Stored("token_embd.weight"))
