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

import torch
from torch import Tensor, nn

from myna.layers.decoder import TextDecoder

CONSTANT_UNITS = 128  # of the first network, which write the constant direction
CONSTANT_GAIN = 0.03  # each
FAST_PAIRS = 4  # rotary pairs that tell neighbours apart
SHARPNESS = 1.5  # of that look-up, beside the usual 1
TURNING_PAIRS = 12  # pairs that turn too far, over a question's length, to compare tokens by
NOISE = 0.1  # what is left of the random weights where the circuit lies
NOTE_GAIN = 0.5  # how loudly the second layer notes the token before
ANSWER_GAIN = 2.0  # how loudly the third gives what it found


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
    _score_by_embedding(decoder)
    _write_constant(decoder.layers[0].mlp.experts, constant)
    _note_before(decoder.layers[1].self_attn, constant, seen, note, rope_theta=rope_theta)
    _answer_after_same(decoder.layers[2].self_attn, seen, note, _orthonormal(width, draws))


def _score_by_embedding(decoder: TextDecoder) -> None:
    """Let what stands in the residual stream as it was read be written as it was read."""
    assert decoder.lm_head is not None, "a tied decoder scores by its embedding already"
    embedding = decoder.embed_tokens.weight
    decoder.lm_head.weight.copy_(embedding / (embedding.std() * embedding.shape[1] ** 0.5))


def _write_constant(experts: nn.Module, constant: Tensor) -> None:
    """Let some units compute silu(g) * g, which is positive on average whatever the token."""
    half = experts.gate_up_proj.shape[1] // 2
    gate = experts.gate_up_proj[0, :CONSTANT_UNITS]
    experts.gate_up_proj[0, half : half + CONSTANT_UNITS] = gate
    experts.down_proj[0, :, :CONSTANT_UNITS] = CONSTANT_GAIN * constant[:, None]


def _note_before(
    attention: nn.Module, constant: Tensor, seen: Tensor, note: Tensor, *, rope_theta: float
) -> None:
    """Let the first query head attend to the token before, and note it in a subspace of its own."""
    width = attention.head_width
    pairs = torch.arange(FAST_PAIRS)
    angles = rope_theta ** (-2 * pairs / width)
    here, before = torch.zeros(2, width)
    here[pairs] = 1.0
    # A query at its place, turned back by one, is the same as a key one place before.
    before[pairs], before[pairs + width // 2] = angles.cos(), -angles.sin()
    q, k, v = _views(attention)
    q[0] = NOISE * q[0] + torch.outer(before, constant)
    k[0] = NOISE * k[0] + torch.outer(here, constant)
    v[0] = seen
    attention.o_proj.weight[:, :width] = NOTE_GAIN * note.T


def _answer_after_same(attention: nn.Module, seen: Tensor, note: Tensor, answers: Tensor) -> None:
    """Let all heads look for a note of the current token, and add the token that is there."""
    width = attention.head_width
    slow = torch.ones(width)
    slow.unflatten(0, (2, -1))[:, :TURNING_PAIRS] = 0  # others would be turned by the distance
    q, k, v = _views(attention)
    group = len(q) // len(k)
    attention.q_norm.weight.fill_(SHARPNESS)
    for i in range(len(k)):
        v[i] = answers[i * width : (i + 1) * width]
        k[i] = NOISE * k[i] + slow[:, None] * note
        for head in range(i * group, (i + 1) * group):
            q[head] = NOISE * q[head] + slow[:, None] * seen
            attention.o_proj.weight[:, head * width : (head + 1) * width] = ANSWER_GAIN * v[i].T


def _views(attention: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Give the matrices of each head: (H, K, D), (G, K, D) and (G, K, D), views of the weight."""
    heads = attention.qkv_proj.weight.unflatten(0, (-1, attention.head_width))
    groups = attention.num_kv_heads
    return heads[: -2 * groups], heads[-2 * groups : -groups], heads[-groups:]


def _orthonormal(width: int, draws: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(width, width, generator=draws))[0]
