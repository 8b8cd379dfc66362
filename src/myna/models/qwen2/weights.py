"""Qwen2 files: which tensors they hold, and how these become the network's parameters."""

from __future__ import annotations

from myna.models import names
from myna.models.qwen2.config import Config
from myna.weights.rules import Rule


def rules(_config: Config) -> tuple[Rule, ...]:
    """Map the names of released Hugging Face files."""
    return (*names.HUGGING_FACE, *names.FUSED)


def gguf_rules(_config: Config) -> tuple[Rule, ...]:
    """Map the names of GGUF files."""
    return (*names.GGUF, *names.FUSED)


def tensors(config: Config) -> dict[str, tuple[int, ...]]:
    """List the released tensors and their shapes."""
    width, hidden = config.width, config.hidden_width
    q, kv = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
    layer = {
        "self_attn.q_proj.weight": (q, width),
        "self_attn.q_proj.bias": (q,),
        "self_attn.k_proj.weight": (kv, width),
        "self_attn.k_proj.bias": (kv,),
        "self_attn.v_proj.weight": (kv, width),
        "self_attn.v_proj.bias": (kv,),
        "self_attn.o_proj.weight": (width, q),
        "mlp.gate_proj.weight": (hidden, width),
        "mlp.up_proj.weight": (hidden, width),
        "mlp.down_proj.weight": (width, hidden),
        "input_layernorm.weight": (width,),
        "post_attention_layernorm.weight": (width,),
    }
    return names.decoder_tensors(config, lambda _: layer)
