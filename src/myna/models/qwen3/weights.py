"""Qwen3 files: which tensors they hold, and how these become the network's parameters.

Hugging Face files store experts one by one, GGUF files stacked; here they are stacked, gate's rows
above up's.
"""

from __future__ import annotations

from myna.models import names
from myna.models.qwen3.config import Config
from myna.weights.rules import Fuse, Rename, Rule, Stack

STACKED: tuple[Rule, ...] = (
    Stack("layers.{i}.mlp.experts.{e}", ("gate_proj", "up_proj"), into="experts.gate_up_proj"),
    Stack("layers.{i}.mlp.experts.{e}", ("down_proj",), into="experts.down_proj"),
)

GGUF_EXPERTS: tuple[Rule, ...] = (
    Rename("blk.{i}.ffn_gate_inp.weight", "layers.{i}.mlp.gate.weight"),
    Rename("blk.{i}.ffn_gate_exps.weight", "layers.{i}.mlp.experts.gate_proj"),
    Rename("blk.{i}.ffn_up_exps.weight", "layers.{i}.mlp.experts.up_proj"),
    Rename("blk.{i}.ffn_down_exps.weight", "layers.{i}.mlp.experts.down_proj"),
    Fuse("layers.{i}.mlp.experts", ("gate_proj", "up_proj"), into="gate_up_proj"),
)

GGUF_NORMS: tuple[Rule, ...] = (
    Rename("blk.{i}.attn_q_norm.*", "layers.{i}.self_attn.q_norm.*"),
    Rename("blk.{i}.attn_k_norm.*", "layers.{i}.self_attn.k_norm.*"),
)


def rules(_config: Config) -> tuple[Rule, ...]:
    """Map the names of released Hugging Face files."""
    return (*names.HUGGING_FACE, *STACKED, *names.FUSED)


def gguf_rules(_config: Config) -> tuple[Rule, ...]:
    """Map the names of GGUF files."""
    return (*names.GGUF, *GGUF_NORMS, *GGUF_EXPERTS, *names.FUSED)


def tensors(config: Config) -> dict[str, tuple[int, ...]]:
    """List the released tensors and their shapes."""
    width = config.width
    q, kv = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
    attention: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj.weight": (q, width),
        "self_attn.k_proj.weight": (kv, width),
        "self_attn.v_proj.weight": (kv, width),
        "self_attn.o_proj.weight": (width, q),
        "self_attn.q_norm.weight": (config.head_width,),
        "self_attn.k_norm.weight": (config.head_width,),
        "input_layernorm.weight": (width,),
        "post_attention_layernorm.weight": (width,),
    }
    if config.attention_bias:
        sizes = {"q_proj": q, "k_proj": kv, "v_proj": kv, "o_proj": width}
        attention |= {f"self_attn.{name}.bias": (size,) for name, size in sizes.items()}
    return names.decoder_tensors(config, lambda i: attention | _feed_forward(config, i))


def _feed_forward(config: Config, layer_idx: int) -> names.Shapes:
    moe = config.moe
    if moe is None or layer_idx not in moe.layers:
        return _matrices("mlp", config.width, config.hidden_width)
    tensors: dict[str, tuple[int, ...]] = {"mlp.gate.weight": (moe.num_experts, config.width)}
    for expert in range(moe.num_experts):
        tensors |= _matrices(f"mlp.experts.{expert}", config.width, moe.hidden_width)
    return tensors


def _matrices(prefix: str, width: int, hidden: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}.gate_proj.weight": (hidden, width),
        f"{prefix}.up_proj.weight": (hidden, width),
        f"{prefix}.down_proj.weight": (width, hidden),
    }
