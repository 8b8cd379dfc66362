"""Names that the files of all text families share; what a family adds is in its own weights.py.

Source of the GGUF names: llama.cpp `gguf-py/gguf/constants.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from myna.models.config import TextConfig
from myna.weights.rules import Fuse, Ignore, Rename, Rule

HUGGING_FACE: tuple[Rule, ...] = (
    Rename("model.*", "*"),
    Ignore("layers.{i}.self_attn.rotary_emb.inv_freq", "computed from the configuration"),
)

GGUF: tuple[Rule, ...] = (
    Rename("token_embd.*", "embed_tokens.*"),
    Rename("output_norm.*", "norm.*"),
    Rename("output.*", "lm_head.*"),
    Rename("blk.{i}.attn_norm.*", "layers.{i}.input_layernorm.*"),
    Rename("blk.{i}.attn_q.*", "layers.{i}.self_attn.q_proj.*"),
    Rename("blk.{i}.attn_k.*", "layers.{i}.self_attn.k_proj.*"),
    Rename("blk.{i}.attn_v.*", "layers.{i}.self_attn.v_proj.*"),
    Rename("blk.{i}.attn_output.*", "layers.{i}.self_attn.o_proj.*"),
    Rename("blk.{i}.ffn_norm.*", "layers.{i}.post_attention_layernorm.*"),
    Rename("blk.{i}.ffn_gate.*", "layers.{i}.mlp.gate_proj.*"),
    Rename("blk.{i}.ffn_up.*", "layers.{i}.mlp.up_proj.*"),
    Rename("blk.{i}.ffn_down.*", "layers.{i}.mlp.down_proj.*"),
    Ignore("rope_freqs.weight", "read into the configuration, as the divisors of rope"),
)

FUSED: tuple[Rule, ...] = (
    Fuse("layers.{i}.self_attn", ("q_proj", "k_proj", "v_proj"), into="qkv_proj"),
    Fuse("layers.{i}.mlp", ("gate_proj", "up_proj"), into="gate_up_proj"),
)

Shapes = Mapping[str, tuple[int, ...]]


def decoder_tensors(
    config: TextConfig, layer: Callable[[int], Shapes]
) -> dict[str, tuple[int, ...]]:
    """List the released tensors of a text decoder, in file order, with their shapes.

    Args:
        config: gives the embedding, the head and the number of layers.
        layer: lists the tensors of layer i, under their names within it.
    """
    tensors: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config.vocab_size, config.width)
    }
    for i in range(config.num_layers):
        tensors |= {f"model.layers.{i}.{name}": shape for name, shape in layer(i).items()}
    tensors["model.norm.weight"] = (config.width,)
    if not config.tied:
        tensors["lm_head.weight"] = (config.vocab_size, config.width)
    return tensors
