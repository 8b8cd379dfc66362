"""Codes of a frame in one call: a decoder that runs over codebooks instead of time.

A stream brings two vectors. After them each position is the embedding of the code chosen just
before, and each codebook has a table and a head of its own. Positions, draws and the frame's
embedding are one call for all streams, which reads each weight once for all of them.

Not here: the blocks (stack), and the module that spells the same with tensors, the twin.
Differs from the twin: between products, numbers stay in float32.
Source: such decoders are the depth transformers of arXiv:2203.01941 and arXiv:2410.00037.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from myna.kernels import structs
from myna.kernels.experts import matrix
from myna.kernels.native import DTYPES, Native, native
from myna.kernels.packed import Weight
from myna.kernels.stack import DecodeStack

MAX_STREAMS = 8  # of one call
MAX_CODES = 64
MAX_RANKED = 128  # codes that a draw may choose among


@dataclass(frozen=True, kw_only=True)
class Nucleus:
    """Say among which codes is drawn: the likeliest ones, until their shares reach a bound.

    Attributes:
        top_k: the most codes.
        top_p: a code is kept if all likelier ones together have less than this share of the k.
        temperature: what scores are divided by.
    """

    top_k: int
    top_p: float
    temperature: float = 1.0


@dataclass(frozen=True)
class Frames:
    """Hold what was chosen for B streams.

    Attributes:
        codes: (B, Q) int64.
        vectors: (B, D), the sums of their embeddings.
    """

    codes: Tensor
    vectors: Tensor


class DepthDecoder:
    """Choose codes by weights whose addresses were taken once; they must stay where they are.

    Made by `bind`.
    """

    def __init__(
        self, call: structs.DepthDecode, *, dtype: torch.dtype, kept: Sequence[object]
    ) -> None:
        self._call = call
        self._dtype = dtype
        self._kept = kept

    def run(self, given: Tensor, points: Tensor | None) -> Frames | None:
        """Choose the codes of one frame of each stream.

        A stream's codes do not depend on the streams beside it.

        Args:
            given: (2, B, D) of the type that was bound: what all streams read first, then what
                they read next.
            points: (B, Q) from [0, 1), one for each draw; `None` takes the likeliest codes.

        Returns:
            Q codes of each, and vectors in float32; `None` where the kernel cannot serve.
        """
        kernels = native()
        if kernels is None or given.dtype is not self._dtype or not given.is_cpu:
            return None
        parts = [
            self._run(
                kernels,
                given[:, start : start + MAX_STREAMS],
                None if points is None else points[start : start + MAX_STREAMS],
            )
            for start in range(0, given.shape[1], MAX_STREAMS)
        ]
        if len(parts) == 1:
            return parts[0]
        codes = torch.cat([part.codes for part in parts])
        return Frames(codes, torch.cat([part.vectors for part in parts]))

    def _run(self, kernels: Native, given: Tensor, points: Tensor | None) -> Frames:
        call = self._call
        _, num_streams, width = given.shape
        assert width == call.step.d, (given.shape, call.step.d)
        if points is not None:
            assert points.shape == (num_streams, call.num_codes), points.shape
            points = points.float().contiguous()
        x = given.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        codes = torch.empty(num_streams, call.num_codes, dtype=torch.int64)
        vectors = torch.empty(num_streams, width)
        call.step.x, call.step.b = x.data_ptr(), num_streams
        call.points = None if points is None else points.data_ptr()
        call.codes, call.sums = codes.data_ptr(), vectors.data_ptr()
        num_threads, address = torch.get_num_threads(), ctypes.addressof(call)
        num_bytes = kernels.depth_decode_scratch(kernels.level, num_threads, address)
        scratch = torch.empty(num_bytes, dtype=torch.uint8)
        call.step.scratch = scratch.data_ptr()
        kernels.depth_decode(kernels.level, num_threads, address)
        return Frames(codes, vectors)


def bind(
    blocks: DecodeStack,
    *,
    norm: Tensor,
    tables: Sequence[Weight],
    heads: Sequence[Weight],
    cos: Tensor,
    sin: Tensor,
    nucleus: Nucleus,
) -> DepthDecoder | None:
    """Take the addresses of a decoder; `None` if the kernels cannot read a matrix in place.

    Args:
        blocks: as bound for steps of tokens.
        norm: (D,), before the heads.
        tables: of each of Q codebooks, the embeddings of its codes: (V, D).
        heads: of each, what scores its codes: (V, D).
        cos: (Q+1, 1, K), the rotations' of the positions.
        sin: (Q+1, 1, K), the first half negated.
        nucleus: among which codes is drawn.
    """
    dtype = blocks.dtype
    num_codes = len(heads)
    found = [
        [item for weight in side if (item := matrix(weight, dtype)) is not None]
        for side in (tables, heads)
    ]
    if any(len(side) < num_codes for side in found):
        return None
    assert len(tables) == num_codes <= MAX_CODES, (len(tables), num_codes)
    assert len({tuple(weight.shape) for weight in (*tables, *heads)}) == 1, (
        "tables and heads differ"
    )
    assert len(cos) == len(sin) == num_codes + 1, (cos.shape, sin.shape)
    assert 0 < nucleus.top_k <= MAX_RANKED, nucleus
    assert nucleus.temperature > 0, nucleus
    all_tables, all_heads = ((structs.Matrix * num_codes)(*side) for side in found)
    floats = [part.detach().float().contiguous() for part in (norm, cos, sin)]
    call = structs.DepthDecode(
        step=blocks.call,
        tables=ctypes.addressof(all_tables),
        heads=ctypes.addressof(all_heads),
        norm=floats[0].data_ptr(),
        num_codes=num_codes,
        top_k=nucleus.top_k,
        top_p=nucleus.top_p,
        temperature=nucleus.temperature,
    )
    call.step.cos, call.step.sin = floats[1].data_ptr(), floats[2].data_ptr()
    call.step.block_tokens, call.step.table_width, call.step.num_splits = num_codes + 1, 1, 1
    call.step.cache_dtype = DTYPES[torch.float32]
    kept = (blocks, all_tables, all_heads, floats, tables, heads)
    return DepthDecoder(call, dtype=dtype, kept=kept)
