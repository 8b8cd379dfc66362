"""Llama files: which tensors they hold, and how these become the network's parameters.

GGUF files of this architecture store the rows of q and k so that rotary pairs are neighbours; here
pairs are halves.
"""

from __future__ import annotations

from functools import partial

import torch

from myna.kernels.packed import Weight, permute_rows
from myna.models import names
from myna.models.llama.config import Config
from myna.weights.rules import Fold, Rule


def rules(_config: Config) -> tuple[Rule, ...]:
    """Map the names of released Hugging Face files."""
    return (*names.HUGGING_FACE, *names.FUSED)


def gguf_rules(config: Config) -> tuple[Rule, ...]:
    """Map the names of GGUF files, and put the rows of q and k back in order."""
    unpermute = partial(halve_pairs, head_width=config.head_width)
    return (
        *names.GGUF,
        Fold("layers.{i}.self_attn.q_proj.*", unpermute, into="layers.{i}.self_attn.q_proj.*"),
        Fold("layers.{i}.self_attn.k_proj.*", unpermute, into="layers.{i}.self_attn.k_proj.*"),
        *names.FUSED,
    )


def halve_pairs(weight: Weight, *, head_width: int) -> Weight:
    """Reorder the rows of every head from neighbouring pairs to halves: (n*K, ...) -> (n*K, ...).

    Row a*K/2 + b of a head (a in 0, 1) is stored as row 2*b + a. Whole rows move, so packed blocks
    stay as they are.
    Source: llama.cpp `conversion/llama.py`, `permute`.
    """
    num_rows = weight.shape[0]
    rows = torch.arange(num_rows, device="cpu").view(num_rows // head_width, head_width // 2, 2)
    return permute_rows(weight, rows.transpose(1, 2).flatten())


def tensors(config: Config) -> dict[str, tuple[int, ...]]:
    """List the released tensors and their shapes."""
    width, hidden = config.width, config.hidden_width
    q, kv = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
    layer: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj.weight": (q, width),
        "self_attn.k_proj.weight": (kv, width),
        "self_attn.v_proj.weight": (kv, width),
        "self_attn.o_proj.weight": (width, q),
        "mlp.gate_proj.weight": (hidden, width),
        "mlp.up_proj.weight": (hidden, width),
        "mlp.down_proj.weight": (width, hidden),
        "input_layernorm.weight": (width,),
        "post_attention_layernorm.weight": (width,),
    }
    if config.attention_bias:
        sizes = {"q_proj": q, "k_proj": kv, "v_proj": kv, "o_proj": width}
        layer |= {f"self_attn.{name}.bias": (size,) for name, size in sizes.items()}
    if config.mlp_bias:
        sizes = {"gate_proj": hidden, "up_proj": hidden, "down_proj": width}
        layer |= {f"mlp.{name}.bias": (size,) for name, size in sizes.items()}
    return names.decoder_tensors(config, lambda _: layer)
