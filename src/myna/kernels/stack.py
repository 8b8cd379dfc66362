"""A decode step in one call: one token of each request through a decoder's blocks and last norm.

Threads are woken once for all blocks, and nothing between two products is an operation of its own:
where a token's weights are few, that is most of the time. Weights stay where they are.

Not here: embeddings and the vocabulary (layers.decoder), which run as they are; and
steps with several tokens of one request, which go through the blocks' own modules, the twin.
Differs from the twin: between products, numbers stay in float32.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from myna.kernels import structs
from myna.kernels.attention import MAX_HEAD_WIDTH
from myna.kernels.cached import CACHE_DTYPES
from myna.kernels.experts import MULTIPLE, Networks, matrix
from myna.kernels.native import DTYPES, Native, is_plain, native
from myna.kernels.packed import PackedRows, Weight

MAX_REQUESTS = 8
MAX_QKV_PARTS = 3
NO_MATRIX = structs.Matrix()


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockWeights:
    """Hold what one pre-norm block is made of; what it lacks is `None`.

    Attributes:
        input_norm: (D,), before attention.
        qkv: ((H + 2*G) * K, D), queries' rows first.
        qkv_bias: its rows'.
        q_norm: (K,), of each query head.
        k_norm: (K,), of each key head.
        attention_out: (D, H*K).
        attention_out_bias: (D,).
        feed_forward_norm: (D,), after attention.
        networks: one, or the experts.
        router: (X, D), where there are experts.
        shared_network: what every token goes through beside its experts.
        shared_gate: (1, D); its sigmoid weighs the shared network.
        num_chosen: experts of a token.
        renormalise: whether their shares are made to sum to one.
    """

    input_norm: Tensor
    qkv: Weight
    qkv_bias: Tensor | None
    q_norm: Tensor | None
    k_norm: Tensor | None
    attention_out: Weight
    attention_out_bias: Tensor | None
    feed_forward_norm: Tensor
    networks: Networks
    router: Weight | None = None
    shared_network: Networks | None = None
    shared_gate: Weight | None = None
    num_chosen: int = 1
    renormalise: bool = False


@dataclass(frozen=True, eq=False)
class Pages:
    """Hold where the keys and values of one step are.

    Attributes:
        keys: of each block of the decoder, (num_blocks, block_tokens, G, K), or packed.
        values: the same.
        block_tables: (B, table_width) int32, each request's blocks in order.
        lengths: (B,) int32, positions of each, the new one included.
    """

    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    block_tables: Tensor
    lengths: Tensor


class DecodeStack:
    """Run blocks whose addresses were taken once; the weights must stay where they are.

    Made by `bind`.

    Attributes:
        call: all that every step has in common.
        dtype: of activations.
        kept: what the addresses point into.
    """

    def __init__(
        self,
        table: ctypes.Array[structs.Block],
        call: structs.DecodeStack,
        *,
        dtype: torch.dtype,
        kept: Sequence[object],
    ) -> None:
        self._table = table
        self.call = call
        self.dtype = dtype
        self.kept = kept

    def run(self, x: Tensor, cos: Tensor, sin: Tensor, pages: Pages) -> Tensor | None:
        """Send one token of each request through all blocks; their keys and values are stored.

        A request's result does not depend on the requests beside it.

        Args:
            x: (B, D), of the type that was bound.
            cos: (B, 1, K), the rotations' at the tokens' positions.
            sin: (B, 1, K), the first half negated.
            pages: written to at each request's last position.

        Returns:
            (B, D) float32, normalised if a norm was bound; `None` where the kernel cannot serve.
        """
        kernels, call = native(), self.call
        keys = pages.keys[0]
        if kernels is None or not 0 < len(x) <= MAX_REQUESTS or x.dtype is not self.dtype:
            return None
        if keys.dtype not in CACHE_DTYPES or not all(map(is_plain, (x, keys, pages.block_tables))):
            return None
        assert len(pages.lengths) == len(x), (pages.lengths.shape, x.shape)
        for block, block_keys, block_values in zip(
            self._table, pages.keys, pages.values, strict=True
        ):
            block.keys, block.values = block_keys.data_ptr(), block_values.data_ptr()
        out = x.to(torch.float32, copy=True)
        turns = cos.float().contiguous(), sin.float().contiguous()
        call.x = out.data_ptr()
        call.cos, call.sin = (turn.data_ptr() for turn in turns)
        call.tables, call.lengths = pages.block_tables.data_ptr(), pages.lengths.data_ptr()
        call.b, call.block_tokens = len(x), keys.shape[1]
        call.table_width = pages.block_tables.shape[1]
        call.num_splits = -(-int(pages.lengths.max()) // kernels.split_tokens)
        call.cache_dtype = CACHE_DTYPES[keys.dtype]
        _run(kernels, call)
        return out


def bind(
    blocks: Sequence[BlockWeights],
    *,
    num_heads: int,
    num_kv_heads: int,
    head_width: int,
    eps: float,
    dtype: torch.dtype,
    norm: Tensor | None = None,
) -> DecodeStack | None:
    """Take the addresses of blocks; `None` if the kernels cannot read one of them in place.

    Args:
        blocks: in order.
        num_heads: H.
        num_kv_heads: G.
        head_width: K.
        eps: of all norms.
        dtype: of the decoder's activations, keys and values.
        norm: (D,), after the last block.
    """
    width = blocks[0].input_norm.numel()
    if native() is None or dtype not in DTYPES or width % MULTIPLE:
        return None
    if head_width % MULTIPLE or head_width > MAX_HEAD_WIDTH:
        return None
    table, kept = (structs.Block * len(blocks))(), list[object](blocks)
    for entry, block in zip(table, blocks, strict=True):
        if not _fill(entry, block, dtype, kept):
            return None
    networks = [item for block in blocks for item in (block.networks, block.shared_network) if item]
    call = structs.DecodeStack(
        blocks=ctypes.addressof(table),
        norm=_vector(norm, kept),
        num_blocks=len(blocks),
        d=width,
        g=num_kv_heads,
        r=num_heads // num_kv_heads,
        k=head_width,
        max_hidden=max(item.hidden_width for item in networks),
        max_chosen=max(block.num_chosen for block in blocks),
        max_experts=max(len(item.table) for item in networks),
        eps=eps,
        scale=head_width**-0.5,
    )
    return DecodeStack(table, call, dtype=dtype, kept=kept)


def _fill(
    entry: structs.Block, block: BlockWeights, dtype: torch.dtype, kept: list[object]
) -> bool:
    """Fill a struct; false if a matrix cannot be read in place."""

    def one(weight: Weight | None) -> structs.Matrix | None:
        return NO_MATRIX if weight is None else matrix(weight, dtype)

    parts = block.qkv.parts if isinstance(block.qkv, PackedRows) else (block.qkv,)
    qkv = [one(part) for part in parts]
    out, router, gate = map(one, (block.attention_out, block.router, block.shared_gate))
    if len(qkv) > MAX_QKV_PARTS or any(part is None for part in (*qkv, out, router, gate)):
        return False
    for place, part in enumerate(qkv):
        entry.qkv[place] = part
    entry.attention_out, entry.router, entry.shared_gate = out, router, gate
    entry.input_norm = _vector(block.input_norm, kept)
    entry.feed_forward_norm = _vector(block.feed_forward_norm, kept)
    entry.qkv_bias = _vector(block.qkv_bias, kept)
    entry.q_norm, entry.k_norm = _vector(block.q_norm, kept), _vector(block.k_norm, kept)
    entry.attention_out_bias = _vector(block.attention_out_bias, kept)
    entry.networks = ctypes.addressof(block.networks.table)
    if block.shared_network is not None:
        entry.shared_network = ctypes.addressof(block.shared_network.table)
    entry.num_chosen, entry.renormalise = block.num_chosen, block.renormalise
    return True


def _vector(values: Tensor | None, kept: list[object]) -> int | None:
    """Give the address of a vector's floats, and keep them."""
    if values is None:
        return None
    floats = values.detach().float().contiguous()
    kept.append(floats)
    return floats.data_ptr()


def _run(kernels: Native, call: structs.DecodeStack) -> None:
    num_threads, address = torch.get_num_threads(), ctypes.addressof(call)
    num_bytes = kernels.decode_stack_scratch(kernels.level, num_threads, address)
    scratch = torch.empty(num_bytes, dtype=torch.uint8)
    call.scratch = scratch.data_ptr()
    kernels.decode_stack(kernels.level, num_threads, address)
