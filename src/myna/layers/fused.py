"""Decoder layers as the compiled decode step reads them.

A layer is described by what its parts are called in every family: `self_attn` with `qkv_proj`,
`o_proj` and perhaps `q_norm` and `k_norm`, `mlp` a gated network or a mixture of experts. A layer
that is anything else is left to its own module.

Not here: the step itself (kernels.stack).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from myna.kernels import stack
from myna.kernels.experts import Networks, bind
from myna.kernels.stack import BlockWeights, DecodeStack, Pages
from myna.layers.cache import LayerCache, LayerPages
from myna.layers.linear import Linear
from myna.layers.mlp import GatedMlp
from myna.layers.moe import SparseMoe
from myna.layers.norm import RmsNorm
from myna.layers.rope import Rope

# A module whose attributes are read by name: torch types each of them as `Tensor | Module`.
Parts = Any


def fuse(layers: Iterable[nn.Module], norm: RmsNorm | None = None) -> DecodeStack | None:
    """Describe layers, and the norm after them if it is to be run too, to the compiled kernels.

    `None` if these cannot run one of the layers.
    """
    found: list[Parts] = list(layers)
    blocks = [block for layer in found if (block := _block(layer)) is not None]
    if not blocks or len(blocks) < len(found):
        return None
    attention, eps = found[0].self_attn, found[0].input_layernorm.eps
    assert norm is None or norm.eps == eps, eps
    return stack.bind(
        blocks,
        num_heads=attention.num_heads,
        num_kv_heads=attention.num_kv_heads,
        head_width=attention.head_width,
        eps=eps,
        dtype=found[0].input_layernorm.weight.dtype,
        norm=None if norm is None else norm.weight,
    )


def run_fused(
    fused: DecodeStack | None, x: Tensor, rope: Rope, caches: Sequence[LayerCache]
) -> Tensor | None:
    """Run a step of single tokens through all layers, and the norm after them, at once.

    Args:
        fused: what `fuse` gave.
        x: (B, D).
        rope: rotations for the B positions.
        caches: one a layer; the new keys and values are stored there.

    Returns:
        (B, D) of x's dtype, after the norm; `None` if nothing was done.
    """
    if fused is None:
        return None
    # Asking `isinstance` of a protocol, layer by layer, would take a tenth of a small model's step.
    layers: list[LayerPages] = [
        page for cache in caches if (page := getattr(cache, "pages", None)) is not None
    ]
    if len(layers) < len(caches):
        return None
    found = fused.run(
        x,
        rope.cos,
        rope.sin,
        Pages(
            [layer.keys for layer in layers],
            [layer.values for layer in layers],
            layers[0].block_tables,
            layers[0].lengths,
        ),
    )
    return None if found is None else found.to(x.dtype)


def _block(layer: Parts) -> BlockWeights | None:
    """Describe one layer; `None` if it has parts that the kernels do not know."""
    attention, mlp = layer.self_attn, layer.mlp
    qkv, out = getattr(attention, "qkv_proj", None), getattr(attention, "o_proj", None)
    input_norm, feed_forward_norm = layer.input_layernorm, layer.post_attention_layernorm
    assert isinstance(input_norm, RmsNorm)
    assert isinstance(feed_forward_norm, RmsNorm)
    dtype = input_norm.weight.dtype
    is_sparse = isinstance(mlp, SparseMoe)
    networks = mlp.experts.networks(dtype) if is_sparse else _one(mlp, dtype)
    shared = getattr(mlp, "shared_expert", None)
    shared_network = None if shared is None else _one(shared, dtype)
    if not isinstance(qkv, Linear) or not isinstance(out, Linear) or networks is None:
        return None
    if is_sparse and (mlp.gate.bias is not None or (shared is None) != (shared_network is None)):
        return None
    return BlockWeights(
        input_norm=input_norm.weight,
        qkv=qkv.weight,
        qkv_bias=qkv.bias,
        q_norm=_norm(attention, "q_norm"),
        k_norm=_norm(attention, "k_norm"),
        attention_out=out.weight,
        attention_out_bias=out.bias,
        feed_forward_norm=feed_forward_norm.weight,
        networks=networks,
        router=mlp.gate.weight if is_sparse else None,
        shared_network=shared_network,
        shared_gate=None if shared is None else mlp.shared_expert_gate.weight,
        num_chosen=mlp.num_chosen if is_sparse else 1,
        renormalise=is_sparse and mlp.renormalise,
    )


def _norm(attention: Parts, name: str) -> Tensor | None:
    """Give the weight of a head's norm, if there is one."""
    norm = getattr(attention, name, None)
    return norm.weight if isinstance(norm, RmsNorm) else None


def _one(mlp: Parts, dtype: torch.dtype) -> Networks | None:
    """Describe a single network; `None` if the kernels cannot run it."""
    if not isinstance(mlp, GatedMlp):
        return None
    if mlp.gate_up_proj.bias is not None or mlp.down_proj.bias is not None:
        return None
    return bind([mlp.gate_up_proj.weight], [mlp.down_proj.weight], dtype)
