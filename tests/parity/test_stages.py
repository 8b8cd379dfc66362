"""Every stage of every text family equals the reference's, in float32, through the real loader."""

from __future__ import annotations

import pytest

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
MOE = {
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "norm_topk_prob": True,
    "head_dim": 16,
}

CASES = {
    "qwen2": ("qwen2", {}),
    "qwen2 tied": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2 yarn": ("qwen2", {"rope_parameters": YARN}),
    "qwen2 one kv head": ("qwen2", {"num_key_value_heads": 1}),
    "llama": ("llama", {}),
    "llama tied": ("llama", {"tie_word_embeddings": True}),
    "llama biased": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama3 rope": ("llama", {"rope_parameters": LLAMA3}),
    "llama linear rope": ("llama", {"rope_parameters": LINEAR}),
    "llama wide heads": ("llama", {"head_dim": 24}),
    "llama no groups": ("llama", {"num_key_value_heads": 4}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "qwen3 biased": ("qwen3", {"head_dim": 16, "attention_bias": True}),
    "qwen3 yarn": ("qwen3", {"head_dim": 16, "rope_parameters": YARN}),
    "qwen3 moe": ("qwen3_moe", MOE),
    "qwen3 moe not renormalised": ("qwen3_moe", {**MOE, "norm_topk_prob": False}),
    "qwen3 moe with dense layers": ("qwen3_moe", {**MOE, "mlp_only_layers": [1]}),
    "qwen3 moe every second layer": ("qwen3_moe", {**MOE, "decoder_sparse_step": 2}),
}
NUM_OUTER_STAGES = 3  # embed_tokens, norm, logits
NUM_LAYER_STAGES = 7  # two norms, attention, feed-forward, the whole, keys, values


@pytest.mark.parametrize("case", CASES)
def test_every_stage_equals_the_reference(parity, case: str) -> None:
    model_type, values = CASES[case]
    pair = parity.pair(model_type, **values)
    compared = parity.check(pair)
    head_norms = 2 if model_type.startswith("qwen3") else 0
    layers = pair.ours.num_layers * (NUM_LAYER_STAGES + head_norms)
    assert len(compared) == NUM_OUTER_STAGES + layers


def test_the_vendors_yarn_can_be_chosen_at_load(parity) -> None:
    pair = parity.pair("qwen2", rope_parameters=YARN, max_position_embeddings=64)
    plain = parity.pair("qwen2", max_position_embeddings=64)
    chosen = plain.blueprint.with_yarn(factor=4.0)
    assert chosen.config.rope == pair.blueprint.config.rope
    assert chosen.config.context_length == 256
