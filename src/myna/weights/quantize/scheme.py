"""Which tensor becomes which blocks: a table of names, each with its reason, read top to bottom.

Not here: how blocks are made (encode) and written (folder).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from fnmatch import fnmatchcase
from math import prod
from types import MappingProxyType
from typing import Literal

from torch import Tensor

from myna.kernels.blocks import FORMATS
from myna.kernels.tiles import TILE_ROWS, TILED_KINDS
from myna.weights.checkpoint import TensorInfo

Bits = Literal[4, 5, 6, 8]
KINDS: Mapping[Bits, str] = MappingProxyType({4: "Q4_F8", 5: "Q5_0", 6: "Q6_0", 8: "Q8_0"})
PredictorBits = Literal[4, 6, 8, 16]
PREDICTOR_KINDS: Mapping[PredictorBits, str | None] = MappingProxyType(
    {4: KINDS[4], 6: KINDS[6], 8: KINDS[8], 16: None}
)
PREDICTOR = "*.code_predictor.*"
MAX_SIX_BITS = 6.0  # of a weight, scales included: what has no more is well kept by six bits
FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class Exempt:
    """Treat the matrices whose names match `pattern` with more care than all others.

    Attributes:
        pattern: of whole names; `*` stands for any text.
        kind: the block format instead; None keeps the matrix as it is.
        reason: why.
        has_convolutions: whether it is meant for tensors of more than two axes as well.
    """

    pattern: str
    kind: str | None
    reason: str
    has_convolutions: bool = False


EXEMPT: tuple[Exempt, ...] = (
    Exempt("*.mlp.gate.weight", None, "a router: a small error sends a token to other experts"),
    Exempt("*.ffn_gate_inp*.weight", None, "a router: a small error sends a token elsewhere"),
    Exempt("*.shared_expert_gate.weight", None, "one row that weighs a whole network"),
    Exempt("*pos_embed*", None, "positions: small, and part of every patch"),
    Exempt("code2wav.*", None, "makes sound, where errors are heard; a hundredth of the model"),
    Exempt(PREDICTOR, "Q8_0", "its errors add up over a frame's codes and spoil speech"),
    Exempt("*_mod.1.weight", None, "computed once for a schedule, and felt by every token"),
    Exempt("time_text_embed.*", None, "every step of a drawing begins with it"),
    Exempt("norm_out.linear.weight", None, "every step of a drawing ends with it"),
    Exempt("img_in.weight", None, "small, and every pixel is read through it"),
    Exempt("txt_in.weight", None, "small, and every word is read through it"),
    Exempt("proj_out.weight", None, "small, and every pixel is drawn through it"),
    Exempt("visual.*", "Q8_0", "runs once a picture, and every answer about it depends on it"),
    Exempt("*.visual.*", "Q8_0", "runs once a picture, and every answer about it depends on it"),
    Exempt("*.audio_tower.*", "Q8_0", "runs once a sound, and every answer about it depends on it"),
    Exempt("thinker.model.embed_tokens.weight", "Q6_0", "words are read by it, not chosen"),
    Exempt("*embed_tokens.weight", "Q8_0", "every token is read by it; often it is the head too"),
    Exempt("*lm_head.weight", "Q8_0", "every token is chosen by it"),
    Exempt("token_embd.weight", "Q8_0", "every token is read by it; often it is the head too"),
    Exempt("output.weight", "Q8_0", "every token is chosen by it"),
    Exempt("*codec_embedding*", "Q8_0", "every frame is read through it"),
    Exempt("*codec_head.weight", "Q8_0", "every frame is chosen by it"),
)


TABLES = ("*embed_tokens.weight", "*lm_head.weight", "token_embd.weight", "output.weight")
STACKS = "*_exps.weight"  # GGUF's matrices of all experts, in one tensor of three axes


def with_predictor(bits: PredictorBits) -> tuple[Exempt, ...]:
    """Give the table with another precision for what chooses a frame's codes; 16 keeps it."""
    wish = Exempt(PREDICTOR, PREDICTOR_KINDS[bits], f"{bits} bits were asked for, of the predictor")
    return tuple(wish if item.pattern == PREDICTOR else item for item in EXEMPT)


@dataclass(frozen=True)
class Choice:
    """Say what becomes of a tensor, and why: the block format, or None if it is kept as it is."""

    kind: str | None
    reason: str


def matrix_shape(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    """Give the shape whose rows blocks are made of: those of a convolution are flat."""
    is_flat = len(shape) > 2 and not fnmatchcase(name, STACKS)
    return (shape[0], prod(shape[1:])) if is_flat else tuple(shape)


def choose(
    name: str,
    info: TensorInfo,
    bits: Bits,
    table_bits: Bits = 8,
    exempt: Sequence[Exempt] = EXEMPT,
) -> Choice:
    """Choose the format of a tensor.

    Args:
        name: its own.
        info: what it is.
        bits: of most matrices.
        table_bits: of what tokens are read and chosen by: in a small model, a large part of it.
        exempt: what is treated with more care; the first that matches counts.
    """
    shape = matrix_shape(name, info.shape)
    usual = Exempt("*", KINDS[bits], f"{bits} bits were asked for")
    found = next((item for item in exempt if fnmatchcase(name, item.pattern)), usual)
    is_stack = len(shape) == 3
    is_matrix = is_stack or (len(shape) == 2 and (len(info.shape) == 2 or found.has_convolutions))
    is_known = info.dtype in FLOATS or info.is_packed
    if not is_matrix or not is_known or not info.num_values:
        return _kept(info, "no matrix of floats: small, or a convolution")
    kind, reason = found.kind, found.reason
    if table_bits != 8 and any(fnmatchcase(name, pattern) for pattern in TABLES):
        kind, reason = KINDS[table_bits], f"{table_bits} bits were asked for, of tables as well"
    if kind is None:
        return _kept(info, reason)
    if info.is_packed and (most := _most(info.dtype)) != kind and _bits(most) < _bits(kind):
        kind, reason = most, "its source has no more bits"
    if kind == KINDS[4] and (info.dtype == "Q4_0" or info.has_steps):
        kind, reason = "Q4_0", f"{reason}, and keeps the scales that its source has"
    block = FORMATS[kind].num_values
    if shape[-1] % block:
        return _kept(info, f"its rows are not made of whole blocks of {block}")
    is_tiled = shape[-2] % TILE_ROWS == 0 and (is_stack or len(info.shape) == 2)
    return Choice(TILED_KINDS.get(kind, kind) if is_tiled else kind, reason)


def _kept(info: TensorInfo, reason: str) -> Choice:
    """Keep a tensor as it is: blocks stay the blocks that they are."""
    return Choice(info.dtype if info.is_packed else None, reason)


def _most(kind: str) -> str:
    """Give the format of ours that holds all that blocks of another have to say, or nearly all."""
    if kind == "Q4_0":
        return kind
    return "Q6_0" if _bits(kind) <= MAX_SIX_BITS else "Q8_0"


def _bits(kind: str) -> float:
    """Count the bits of a weight, scales included."""
    return FORMATS[kind].num_bytes * 8 / FORMATS[kind].num_values


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settle what becomes of every tensor.

    Attributes:
        bits: of most matrices.
        table_bits: of what tokens are read and chosen by.
        exempt: what is treated with more care; the first that matches counts.
        importance: by tensor, (columns,) float32: what an error in each column weighs; a tensor
            without any weighs all alike.
        moments: by tensor, (columns, columns) float32: mean products of what each two columns
            multiply; a tensor with them is rounded so that columns make up for one another.
    """

    bits: Bits
    table_bits: Bits = 8
    exempt: Sequence[Exempt] = EXEMPT
    importance: Mapping[str, Tensor] = field(default_factory=dict)
    moments: Mapping[str, Tensor] = field(default_factory=dict)

    def choose(self, name: str, info: TensorInfo) -> Choice:
        """Choose the format of a tensor."""
        return choose(name, info, self.bits, self.table_bits, self.exempt)

    def key(self) -> str:
        """Tell this recipe from others: what was begun by one is not gone on with by another."""
        text = repr((self.bits, self.table_bits, [astuple(item) for item in self.exempt]))
        digest = hashlib.sha256(text.encode())
        for name in sorted(self.importance):
            digest.update(name.encode())
            digest.update(self.importance[name].contiguous().numpy().tobytes())
        for name in sorted(self.moments):
            digest.update(name.encode())
            digest.update(self.moments[name].diagonal().contiguous().numpy().tobytes())
        return digest.hexdigest()
