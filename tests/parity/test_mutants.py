"""Prove that parity is watched: every small fault put into our network fails the comparison.

A mutant changes the loaded network, or how it is run, in one way that a mistaken implementation
could. Shifting all positions alike is none: rotary scores depend on distances only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.layers.dense_cache import DenseCache
from myna.layers.mlp import GatedMlp
from myna.layers.moe import SparseMoe
from myna.layers.norm import RmsNorm
from myna.layers.rope import Rope, RopeTable

NUM_TOKENS = 48
SCALING = {"rope_theta": 10000.0, "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "factor": 4.0, **SCALING}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    **SCALING,
}
MOE = {
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "norm_topk_prob": True,
    "head_dim": 16,
}
CASES = {
    "qwen2": ("qwen2", {}),
    "qwen2 yarn": ("qwen2", {"rope_parameters": YARN}),
    "llama": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama3": ("llama", {"rope_parameters": LLAMA3}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "qwen3 moe": ("qwen3_moe", MOE),
}


@dataclass(frozen=True)
class Mutant:
    """Put one fault in: into the network of a case, or into how the check runs it."""

    cases: tuple[str, ...]
    change: Callable[..., dict[str, object] | None]


def set_rope(pair, **changes: object) -> None:
    config = pair.blueprint.config
    pair.ours.rope_table = RopeTable(replace(config.rope, **changes), config.head_width)


def halve_theta(pair) -> None:
    set_rope(pair, theta=pair.blueprint.config.rope.theta / 2)


def drop_scaling(pair) -> None:
    set_rope(pair, scaling=None)


def change_scaling(**changes: object) -> Callable[..., None]:
    def change(pair) -> None:
        set_rope(pair, scaling=replace(pair.blueprint.config.rope.scaling, **changes))

    return change


def turn_neighbours(pair) -> None:
    """Turn pairs (2*i, 2*i + 1) in place of (i, i + K/2)."""

    class Neighbours(Rope):
        def rotate(self, x: Tensor) -> Tensor:
            halves = x.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)
            turned = super().rotate(halves)
            return turned.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)

    table = pair.ours.rope_table

    class Table:
        def at(self, positions: Tensor, dtype: torch.dtype) -> Rope:
            rope = table.at(positions, dtype)
            return Neighbours(rope.cos, rope.sin)

    pair.ours.rope_table = Table()


def shift_late_positions(_pair) -> dict[str, object]:
    positions = torch.arange(NUM_TOKENS)
    return {"positions": positions + (positions >= NUM_TOKENS // 2)}


def drop_bias(part: str) -> Callable[..., None]:
    """Drop the bias of q, k or v in the middle layer."""

    def change(pair) -> None:
        attention = pair.ours.layers[1].self_attn
        groups = attention.num_kv_heads * attention.head_width
        queries = attention.num_heads * attention.head_width
        q, k, v = attention.qkv_proj.bias.split((queries, groups, groups))
        {"q": q, "k": k, "v": v}[part].zero_()

    return change


def drop_output_bias(pair) -> None:
    pair.ours.layers[1].self_attn.o_proj.bias.zero_()


def drop_mlp_bias(pair) -> None:
    pair.ours.layers[1].mlp.down_proj.bias.zero_()


def grow_eps(pair) -> None:
    for module in pair.ours.modules():
        if isinstance(module, RmsNorm):
            module.eps *= 100


def swap(left: nn.Module, right: nn.Module) -> None:
    kept = left.weight.clone()
    left.weight.copy_(right.weight)
    right.weight.copy_(kept)


def swap_layer_norms(pair) -> None:
    swap(pair.ours.layers[1].input_layernorm, pair.ours.layers[1].post_attention_layernorm)


def swap_head_norms(pair) -> None:
    swap(pair.ours.layers[1].self_attn.q_norm, pair.ours.layers[1].self_attn.k_norm)


def swap_gate_and_up(pair) -> None:
    for module in pair.ours.modules():
        if isinstance(module, GatedMlp):
            gate, up = module.gate_up_proj.weight.chunk(2)
            module.gate_up_proj.weight.copy_(torch.cat((up, gate)))


def use_gelu(pair) -> None:
    mlp = pair.ours.layers[1].mlp

    def forward(x: Tensor) -> Tensor:
        gate, up = mlp.gate_up_proj(x).chunk(2, dim=-1)
        return mlp.down_proj(functional.gelu(gate) * up)

    mlp.forward = forward


class HeadsSwapped(DenseCache):
    """Let query heads read the keys and values of another group."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = super().attend(q.flip(1), k, v)
        return out.flip(1)


class GroupsInterleaved(DenseCache):
    """Let query head h read key head h % G in place of h // (H // G)."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        order = torch.arange(q.shape[1]).view(-1, k.shape[1]).T.flatten()
        return super().attend(q[:, order], k, v)[:, order.argsort()]


class SharpenedScores(DenseCache):
    """Scale scores by 1 / K in place of 1 / sqrt(K)."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return super().attend(q * q.shape[-1] ** -0.5, k, v)


class OneTokenWindow(DenseCache):
    """Let the first position be seen by no later one."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = super().attend(q, k, v)
        late = DenseCache().attend(q[1:], k[1:], v[1:])
        return torch.cat((out[:1], late))


def run_with(cache: type[DenseCache]) -> Callable[..., dict[str, object]]:
    return lambda _pair: {"make_cache": cache}


def middle_moe(pair) -> SparseMoe:
    moe = pair.ours.layers[1].mlp
    assert isinstance(moe, SparseMoe)
    return moe


def permute_one_expert(pair) -> None:
    down = middle_moe(pair).experts.down_proj
    down[[0, 1]] = down[[1, 0]].clone()


def permute_the_router(pair) -> None:
    gate = middle_moe(pair).gate.weight
    gate[[0, 1]] = gate[[1, 0]].clone()


def choose_one_expert_less(pair) -> None:
    middle_moe(pair).num_chosen -= 1


def forget_to_renormalise(pair) -> None:
    middle_moe(pair).renormalise = False


ALL = tuple(CASES)
DENSE = ("qwen2", "llama3", "qwen3")
QWEN3 = ("qwen3", "qwen3 moe")
MUTANTS = {
    "rope theta halved": Mutant(ALL, halve_theta),
    "positions +1 from the middle on": Mutant(ALL, shift_late_positions),
    "rope scaling dropped": Mutant(("qwen2 yarn", "llama3"), drop_scaling),
    "yarn does not sharpen": Mutant(("qwen2 yarn",), change_scaling(attention_factor=1.0)),
    "yarn bounds not rounded": Mutant(("qwen2 yarn",), change_scaling(truncate=False)),
    "yarn bounds moved": Mutant(("qwen2 yarn",), change_scaling(beta_slow=2.0)),
    "llama3 blends less": Mutant(("llama3",), change_scaling(high_freq_factor=3.0)),
    "neighbours turned": Mutant(ALL, turn_neighbours),
    "q bias dropped": Mutant(("qwen2", "llama"), drop_bias("q")),
    "k bias dropped": Mutant(("qwen2", "llama"), drop_bias("k")),
    "v bias dropped": Mutant(("qwen2", "llama"), drop_bias("v")),
    "o bias dropped": Mutant(("llama",), drop_output_bias),
    "down bias dropped": Mutant(("llama",), drop_mlp_bias),
    "eps x100": Mutant(ALL, grow_eps),
    "layer norms swapped": Mutant(ALL, swap_layer_norms),
    "head norms swapped": Mutant(QWEN3, swap_head_norms),
    "gate and up swapped": Mutant(DENSE, swap_gate_and_up),
    "gelu for silu": Mutant(DENSE, use_gelu),
    "kv heads permuted": Mutant(ALL, run_with(HeadsSwapped)),
    "kv heads interleaved": Mutant(ALL, run_with(GroupsInterleaved)),
    "scores scaled by 1/K": Mutant(ALL, run_with(SharpenedScores)),
    "window one short": Mutant(ALL, run_with(OneTokenWindow)),
    "one expert permuted": Mutant(("qwen3 moe",), permute_one_expert),
    "router rows permuted": Mutant(("qwen3 moe",), permute_the_router),
    "one expert less": Mutant(("qwen3 moe",), choose_one_expert_less),
    "shares not renormalised": Mutant(("qwen3 moe",), forget_to_renormalise),
}


@pytest.mark.parametrize(
    ("mutant", "case"), [(name, case) for name, m in MUTANTS.items() for case in m.cases]
)
def test_a_mutant_fails_parity(parity, mutant: str, case: str) -> None:
    model_type, values = CASES[case]
    pair = parity.pair(model_type, **values)
    parity.check(pair, num_tokens=NUM_TOKENS)
    run = MUTANTS[mutant].change(pair) or {}
    with pytest.raises(AssertionError, match="parity fails at"):
        parity.check(pair, num_tokens=NUM_TOKENS, **run)
