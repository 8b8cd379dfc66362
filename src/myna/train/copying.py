"""First weights of a decoder that can already copy: an induction head, built instead of found.

Copying is what a small model learns last by itself, and most of its tasks need it: to repeat, to
spell, to say a sum's numbers again. So three layers begin with a known circuit, over the usual
random weights. The first network writes one direction that is the same for all tokens, which the
frozen embedding has none of; the second layer attends, by place alone, to the token before, and
notes which it was; the third attends to where the current token stood before, and gives what
followed it. Training is free to change all of it.

Source: Olsson et al. 2022, arXiv:2209.11895 (the circuit); Trockman and Kolter 2023,
arXiv:2305.09828 (structured first weights).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from myna.layers.decoder import TextDecoder

CONSTANT_UNITS = 128  # of the first network, which write the constant direction
CONSTANT_GAIN = 0.03  # each
FAST_PAIRS = 4  # rotary pairs that tell neighbours apart
SHARPNESS = 1.5  # of that look-up, beside the usual 1
TURNING_PAIRS = 12  # pairs that turn too far, over a question's length, to compare tokens by
NOISE = 0.1  # what is left of the random weights where the circuit lies
NOTE_GAIN = 0.5  # how loudly the second layer notes the token before
ANSWER_GAIN = 2.0  # how loudly the third gives what it found

Weights = Mapping[str, Tensor]


@torch.no_grad()
def build_in(decoder: TextDecoder, *, rope_theta: float, seed: int) -> None:
    """Change the weights of the first three layers and of the output in place.

    Args:
        decoder: with first weights (`train.start`).
        rope_theta: of its rotary embedding.
        seed: of the circuit's random subspaces.
    """
    draws = torch.Generator().manual_seed(seed)
    width, head_width = decoder.embed_tokens.weight.shape[1], decoder.head_width
    basis = _orthonormal(width, draws)  # (D, D)
    constant, note = basis[0], basis[1 : head_width + 1]  # (D,), (K, D)
    seen = _orthonormal(width, draws)[:head_width]  # (K, D)
    weights = dict(decoder.named_parameters())
    _score_by_embedding(weights)
    _write_constant(weights, constant)
    before = _Heads(weights, 1, head_width=head_width, num_kv_heads=decoder.num_kv_heads)
    _note_before(before, constant, seen, note, rope_theta=rope_theta)
    same = _Heads(weights, 2, head_width=head_width, num_kv_heads=decoder.num_kv_heads)
    _answer_after_same(same, seen, note, _orthonormal(width, draws))


class _Heads:
    """View the matrices of one layer's heads: q (H, K, D), k and v (G, K, D), o (D, H*K)."""

    def __init__(self, weights: Weights, layer: int, *, head_width: int, num_kv_heads: int) -> None:
        path = f"layers.{layer}.self_attn"
        rows = weights[f"{path}.qkv_proj.weight"]
        heads = rows.view(-1, head_width, rows.shape[1])
        self.q, self.k = heads[: -2 * num_kv_heads], heads[-2 * num_kv_heads : -num_kv_heads]
        self.v = heads[-num_kv_heads:]
        self.o = weights[f"{path}.o_proj.weight"]
        self.q_norm = weights[f"{path}.q_norm.weight"]
        self.width = head_width


def _score_by_embedding(weights: Weights) -> None:
    """Let what stands in the residual stream as it was read be written as it was read."""
    embedding = weights["embed_tokens.weight"]
    weights["lm_head.weight"].copy_(embedding / (embedding.std() * embedding.shape[1] ** 0.5))


def _write_constant(weights: Weights, constant: Tensor) -> None:
    """Let some units compute silu(g) * g, which is positive on average whatever the token."""
    gate_up = weights["layers.0.mlp.experts.gate_up_proj"]
    half = gate_up.shape[1] // 2
    gate_up[0, half : half + CONSTANT_UNITS] = gate_up[0, :CONSTANT_UNITS]
    down = weights["layers.0.mlp.experts.down_proj"]
    down[0, :, :CONSTANT_UNITS] = CONSTANT_GAIN * constant[:, None]


def _note_before(
    heads: _Heads, constant: Tensor, seen: Tensor, note: Tensor, *, rope_theta: float
) -> None:
    """Let the first query head attend to the token before, and note it in a subspace of its own."""
    pairs = torch.arange(FAST_PAIRS)
    angles = rope_theta ** (-2 * pairs / heads.width)
    here, before = torch.zeros(2, heads.width)
    here[pairs] = 1.0
    # A query at its place, turned back by one, is the same as a key one place before.
    before[pairs], before[pairs + heads.width // 2] = angles.cos(), -angles.sin()
    heads.q[0] = NOISE * heads.q[0] + torch.outer(before, constant)
    heads.k[0] = NOISE * heads.k[0] + torch.outer(here, constant)
    heads.v[0] = seen
    heads.o[:, : heads.width] = NOTE_GAIN * note.T


def _answer_after_same(heads: _Heads, seen: Tensor, note: Tensor, answers: Tensor) -> None:
    """Let all heads look for a note of the current token, and add the token that is there."""
    width = heads.width
    slow = torch.ones(width)
    slow.view(2, -1)[:, :TURNING_PAIRS] = 0  # others would be turned by the distance
    heads.q_norm.fill_(SHARPNESS)
    group = len(heads.q) // len(heads.k)
    for i in range(len(heads.k)):
        heads.v[i] = answers[i * width : (i + 1) * width]
        heads.k[i] = NOISE * heads.k[i] + slow[:, None] * note
        for head in range(i * group, (i + 1) * group):
            heads.q[head] = NOISE * heads.q[head] + slow[:, None] * seen
            heads.o[:, head * width : (head + 1) * width] = ANSWER_GAIN * heads.v[i].T


def _orthonormal(width: int, draws: torch.Generator) -> Tensor:
    basis: Tensor = torch.linalg.qr(torch.randn(width, width, generator=draws))[0]
    return basis
