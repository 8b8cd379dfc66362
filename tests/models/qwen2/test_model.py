"""Qwen2's network: what the engine asks of it, and the names of its parameters."""

import torch

from myna.engine.protocols import Decoder
from myna.layers.cache import PackedBatch
from myna.layers.dense_cache import DenseCache
from myna.models.qwen2.config import Config
from myna.models.qwen2.model import build
from myna.models.tiny import tiny_config

CONFIG = Config.from_hf(tiny_config("qwen2"))


def test_it_is_what_the_engine_runs() -> None:
    network: Decoder = build(CONFIG).to(torch.bfloat16)
    for parameter in build(CONFIG).parameters():
        assert not parameter.requires_grad
    assert (network.num_layers, network.num_kv_heads) == (CONFIG.num_layers, CONFIG.num_kv_heads)
    assert (network.head_width, network.vocab_size) == (CONFIG.head_width, CONFIG.vocab_size)
    assert network.dtype is torch.bfloat16


def test_shapes_of_hidden_states_and_logits() -> None:
    network = build(CONFIG)
    for i, parameter in enumerate(network.parameters()):
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.manual_seed(i))
    batch = PackedBatch(torch.arange(5), torch.arange(5))
    hidden = network(batch, [DenseCache() for _ in range(network.num_layers)])
    assert hidden.shape == (5, CONFIG.width)
    assert network.logits(hidden[-2:]).shape == (2, CONFIG.vocab_size)


def test_only_queries_keys_and_values_have_biases() -> None:
    biased = {name for name, _ in build(CONFIG).named_parameters() if name.endswith("bias")}
    assert biased == {f"layers.{i}.self_attn.qkv_proj.bias" for i in range(CONFIG.num_layers)}
