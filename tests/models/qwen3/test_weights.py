"""Qwen3's files: experts one by one or stacked, and the tensors listed."""

import torch

from myna.models.qwen3.config import Config
from myna.models.qwen3.model import build
from myna.models.qwen3.weights import gguf_rules, rules, tensors
from myna.models.tiny import tiny_config
from myna.weights.checkpoint import MemoryCheckpoint
from myna.weights.load import load_weights

CONFIG = Config.from_hf(tiny_config("qwen3_moe", num_hidden_layers=1))


def released() -> dict[str, torch.Tensor]:
    generator = torch.manual_seed(0)
    shapes = tensors(CONFIG).items()
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes}


def load(weights: dict[str, torch.Tensor], table) -> torch.nn.Module:
    with torch.device("meta"):
        network = build(CONFIG)
    load_weights(network, MemoryCheckpoint(weights), table, dtype=torch.float32)
    return network


def test_experts_are_stacked_gate_above_up() -> None:
    weights = released()
    experts = load(weights, rules(CONFIG)).layers[0].mlp.experts
    prefix = "model.layers.0.mlp.experts.5"
    gate, up = (weights[f"{prefix}.{name}_proj.weight"] for name in ("gate", "up"))
    assert torch.equal(experts.gate_up_proj[5], torch.cat((gate, up)))
    assert torch.equal(experts.down_proj[5], weights[f"{prefix}.down_proj.weight"])


def test_stacks_of_gguf_files_become_the_same() -> None:
    weights = released()
    expected = load(weights, rules(CONFIG)).state_dict()
    stored = {
        "token_embd.weight": weights["model.embed_tokens.weight"],
        "output_norm.weight": weights["model.norm.weight"],
        "output.weight": weights["lm_head.weight"],
    }
    inner = {
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "attn_output": "self_attn.o_proj",
        "ffn_gate_inp": "mlp.gate",
        **{f"attn_{name}": f"self_attn.{name}_proj" for name in "qkv"},
        **{f"attn_{name}_norm": f"self_attn.{name}_norm" for name in "qk"},
    }
    for name, module in inner.items():
        stored[f"blk.0.{name}.weight"] = weights[f"model.layers.0.{module}.weight"]
    for name in ("gate", "up", "down"):
        each = [
            weights[f"model.layers.0.mlp.experts.{expert}.{name}_proj.weight"]
            for expert in range(CONFIG.moe.num_experts)
        ]
        stored[f"blk.0.ffn_{name}_exps.weight"] = torch.stack(each)
    found = load(stored, gguf_rules(CONFIG)).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_biases_are_listed_when_the_configuration_asks() -> None:
    plain = tensors(Config.from_hf(tiny_config("qwen3")))
    biased = tensors(Config.from_hf(tiny_config("qwen3", attention_bias=True)))
    extra = {name.split(".", 3)[3] for name in biased.keys() - plain.keys()}
    assert extra == {f"self_attn.{name}_proj.bias" for name in "qkvo"}
