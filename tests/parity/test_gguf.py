"""GGUF files give the reference's network too: names, row orders, stored rope divisors, blocks.

The files are written here by the `gguf` package, from the reference's own weights, as llama.cpp's
converter would. Source: llama.cpp `conversion/llama.py`, `conversion/qwen.py`.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from myna.layers.rope import Divisors, RopeConfig, inverse_frequencies
from myna.models.registry import blueprint_for_gguf
from myna.weights.gguf import GgufCheckpoint
from myna.weights.load import load_weights

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
MOE = {
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "norm_topk_prob": True,
    "head_dim": 16,
}
CASES = {
    "qwen2": ("qwen2", {}),
    "qwen2 tied": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2 yarn": ("qwen2", {"rope_parameters": YARN}),
    "llama": ("llama", {"tie_word_embeddings": True}),
    "llama biased": ("llama", {"attention_bias": True}),
    "llama3 rope": ("llama", {"rope_parameters": LLAMA3}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "qwen3 moe": ("qwen3_moe", MOE),
}
LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp",
}
OUTER_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def neighbour_rows(weight: Tensor, num_heads: int) -> Tensor:
    """Order rows as the converter does for llama: the two halves of a head, interleaved."""
    halves = weight.unflatten(0, (num_heads, 2, -1))
    return halves.transpose(1, 2).reshape(weight.shape)


def gguf_tensors(reference: PreTrainedModel) -> dict[str, Tensor]:
    """Rename the reference's tensors as the converter does."""
    config = reference.config
    tensors: dict[str, Tensor] = {}
    for name, weight in reference.state_dict().items():
        if name in OUTER_NAMES:
            if name != "lm_head.weight" or not config.tie_word_embeddings:
                tensors[OUTER_NAMES[name]] = weight
            continue
        _, _, idx, inner = name.split(".", 3)
        if inner == "mlp.experts.gate_up_proj":
            gate, up = weight.chunk(2, dim=1)
            tensors[f"blk.{idx}.ffn_gate_exps.weight"] = gate
            tensors[f"blk.{idx}.ffn_up_exps.weight"] = up
        elif inner == "mlp.experts.down_proj":
            tensors[f"blk.{idx}.ffn_down_exps.weight"] = weight
        else:
            module, suffix = inner.rsplit(".", 1)
            if config.model_type == "llama" and module.endswith(("q_proj", "k_proj")):
                is_q = module.endswith("q_proj")
                heads = config.num_attention_heads if is_q else config.num_key_value_heads
                weight = neighbour_rows(weight, heads)
            tensors[f"blk.{idx}.{LAYER_NAMES[module]}.{suffix}"] = weight
    return tensors


def write_gguf(path: Path, reference: PreTrainedModel, *, kind: str = "F32") -> Path:
    """Write the reference's weights as a GGUF file; matrices as `kind`, all else as F32."""
    config = reference.config
    architecture = config.model_type.replace("_", "")
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if architecture.startswith("qwen3"):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if architecture == "qwen3moe":
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    rope = config.rope_parameters
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if rope["rope_type"] == "llama3":
        plain = inverse_frequencies(RopeConfig(theta=rope["rope_theta"]), config.head_dim)
        divisors = plain / reference.model.rotary_emb.inv_freq
        writer.add_tensor("rope_freqs.weight", divisors.numpy())
    for name, weight in gguf_tensors(reference).items():
        values = np.ascontiguousarray(weight.numpy())
        if kind != "F32" and weight.ndim > 1 and not name.endswith("ffn_gate_inp.weight"):
            quantization = gguf.GGMLQuantizationType[kind]
            blocks = gguf.quants.quantize(values, quantization)
            writer.add_tensor(name, blocks, raw_dtype=quantization)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def load_gguf(path: Path, pair, *, keep_packed: bool = False):
    """Load a GGUF file through the real loader, beside the pair's reference."""
    checkpoint = GgufCheckpoint(path)
    blueprint = blueprint_for_gguf(checkpoint.metadata, checkpoint)
    ours = blueprint.build()
    report = load_weights(
        ours, checkpoint, blueprint.rules, dtype=torch.float32, keep_packed=keep_packed
    )
    return type(pair)(pair.reference, ours, blueprint, pair.folder), report


@pytest.mark.parametrize("case", CASES)
def test_every_stage_equals_the_reference(parity, tmp_path: Path, case: str) -> None:
    model_type, values = CASES[case]
    pair = parity.pair(model_type, **values)
    loaded, _ = load_gguf(write_gguf(tmp_path / "m.gguf", pair.reference), pair)
    parity.check(loaded)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q4_1"])
@pytest.mark.parametrize("case", ["qwen2", "llama", "qwen3 moe"])
@pytest.mark.parametrize("keep_packed", [True, False], ids=["packed", "unpacked"])
def test_blocks_give_what_the_reference_gives_with_their_values(
    parity, tmp_path: Path, kind: str, case: str, keep_packed: bool
) -> None:
    model_type, values = CASES[case]
    sizes = {"hidden_size": 64, "intermediate_size": 96}
    pair = parity.pair(model_type, **{**values, **sizes})
    quantization = gguf.GGMLQuantizationType[kind]
    with torch.no_grad():
        for name, parameter in pair.reference.named_parameters():
            if parameter.ndim > 1 and not name.endswith("mlp.gate.weight"):
                blocks = gguf.quants.quantize(parameter.numpy(), quantization)
                parameter.copy_(torch.from_numpy(gguf.quants.dequantize(blocks, quantization)))
    path = write_gguf(tmp_path / "m.gguf", pair.reference, kind=kind)
    loaded, report = load_gguf(path, pair, keep_packed=keep_packed)
    assert report.dtypes[kind] > 0
    assert isinstance(loaded.ours.layers[0].self_attn.o_proj.weight, Tensor) is not keep_packed
    parity.check(loaded)


def test_stored_divisors_become_the_scaling(parity, tmp_path: Path) -> None:
    pair = parity.pair("llama", rope_parameters=LLAMA3)
    loaded, report = load_gguf(write_gguf(tmp_path / "m.gguf", pair.reference), pair)
    assert isinstance(loaded.blueprint.config.rope.scaling, Divisors)
    assert list(report.ignored) == ["rope_freqs.weight"]


def test_rows_left_as_they_are_stored_fail_parity(parity, tmp_path: Path) -> None:
    pair = parity.pair("llama")
    checkpoint = GgufCheckpoint(write_gguf(tmp_path / "m.gguf", pair.reference))
    blueprint = blueprint_for_gguf(checkpoint.metadata, checkpoint)
    ours = blueprint.build()
    rules = [rule for rule in blueprint.rules if not hasattr(rule, "function")]
    load_weights(ours, checkpoint, rules, dtype=torch.float32)
    with pytest.raises(AssertionError, match=r"parity fails at layers\.0\.self_attn"):
        parity.check(type(pair)(pair.reference, ours, blueprint, pair.folder))


def test_ignoring_the_divisors_fails_parity(parity, tmp_path: Path) -> None:
    pair = parity.pair("llama", rope_parameters=LLAMA3)
    plain = parity.pair("llama")
    checkpoint = GgufCheckpoint(write_gguf(tmp_path / "m.gguf", plain.reference))
    blueprint = blueprint_for_gguf(checkpoint.metadata, checkpoint)
    ours = blueprint.build()
    load_weights(ours, checkpoint, blueprint.rules, dtype=torch.float32)
    with pytest.raises(AssertionError, match="parity fails at"):
        parity.check(type(pair)(pair.reference, ours, blueprint, pair.folder))
