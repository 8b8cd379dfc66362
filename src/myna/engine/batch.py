"""The tokens of one step, packed, and where each of them finds its past.

Not here: which tokens are taken (scheduler), and the keys and values themselves (kv_cache).
Axis letters beside the project's: R query heads that share one key/value head.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

import torch
from torch import Tensor

from myna.engine.sequence import Sequence
from myna.layers.cache import PackedBatch

# Requests whose pasts differ by more than this factor are not padded to one length ...
MAX_PADDING_RATIO = 2
# ... unless even the longest is so short that one more call costs more than the padding.
SHORT_PAST_TOKENS = 128


@dataclass(frozen=True, slots=True)
class Chunk:
    """Take tokens `start` to `stop` of a sequence, whose keys and values before `start` are in the
    cache.
    """

    sequence: Sequence
    start: int
    stop: int

    @property
    def num_tokens(self) -> int:
        """Count the tokens."""
        return self.stop - self.start

    @property
    def is_last(self) -> bool:
        """Tell whether the sequence's next token can be chosen after this chunk."""
        return self.stop == len(self.sequence.token_ids)


@dataclass(frozen=True, slots=True)
class SingleGroup:
    """Let B sequences with one new token each attend to pasts of about equal length.

    Attributes:
        rows: their places in the packed batch.
        past: the B*S slots to read, as a range if they follow one another.
        mask: (B, 1, 1, S), 0 where a position is real and -inf where it is padding; `None` if all
            are real.
    """

    rows: slice
    past: slice | Tensor
    mask: Tensor | None


@dataclass(frozen=True, slots=True)
class Span:
    """Let T successive tokens of one sequence attend to its past and to each other.

    Attributes:
        rows: their places in the packed batch.
        past: the S slots to read, the T new ones at the end.
        mask: (T, S) as above; `None` if there is no past and the causal triangle is all.
    """

    rows: slice
    past: slice | Tensor
    mask: Tensor | None


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """Say, once a step for all layers, where the N new tokens go and what each reads.

    Attributes:
        slots: (N,) int64, where the new keys and values are written.
        groups: the sequences with one new token; they come first in the packed batch.
        spans: the others.
    """

    slots: Tensor
    groups: tuple[SingleGroup, ...]
    spans: tuple[Span, ...]


def in_packing_order(chunks: Seq[Chunk]) -> list[Chunk]:
    """Sort chunks as `pack` wants them: one-token chunks first, the longest past first."""
    return sorted(chunks, key=lambda chunk: (chunk.num_tokens > 1, -chunk.stop))


def pack(
    chunks: Seq[Chunk], *, tokens_per_block: int, dtype: torch.dtype
) -> tuple[PackedBatch, AttentionPlan]:
    """Lay the chunks' tokens one after another and plan their attention.

    Args:
        chunks: in packing order.
        tokens_per_block: the pool's.
        dtype: of the masks; the queries'.
    """
    token_ids: list[int] = []
    positions: list[int] = []
    slots: list[int] = []
    spans: list[Span] = []
    num_single = sum(chunk.num_tokens == 1 for chunk in chunks)
    for idx, chunk in enumerate(chunks):
        first_row = len(token_ids)
        blocks = chunk.sequence.blocks
        token_ids += chunk.sequence.token_ids[chunk.start : chunk.stop]
        for position in range(chunk.start, chunk.stop):
            positions.append(position)
            block = blocks[position // tokens_per_block]
            slots.append(block * tokens_per_block + position % tokens_per_block)
        if idx >= num_single:
            rows = slice(first_row, len(token_ids))
            spans.append(_span(chunk, rows, tokens_per_block=tokens_per_block, dtype=dtype))
    groups = _groups(chunks[:num_single], tokens_per_block=tokens_per_block, dtype=dtype)
    batch = PackedBatch(token_ids=torch.tensor(token_ids), positions=torch.tensor(positions))
    return batch, AttentionPlan(torch.tensor(slots), groups, tuple(spans))


def _span(chunk: Chunk, rows: slice, *, tokens_per_block: int, dtype: torch.dtype) -> Span:
    """Plan one chunk of several tokens."""
    past = _slots_of(chunk.sequence.blocks, chunk.stop, tokens_per_block=tokens_per_block)
    if chunk.start == 0:
        return Span(rows, past, None)
    allowed = torch.ones(chunk.num_tokens, chunk.stop, dtype=torch.bool).tril(chunk.start)
    return Span(rows, past, _additive(allowed, dtype))  # (T, S)


def _groups(
    chunks: Seq[Chunk], *, tokens_per_block: int, dtype: torch.dtype
) -> tuple[SingleGroup, ...]:
    """Cut one-token chunks, longest first, into groups of about equal length."""
    groups: list[SingleGroup] = []
    first = 0
    for idx in range(1, len(chunks) + 1):
        longest = chunks[first].stop
        is_end = idx == len(chunks)
        if is_end or longest > max(SHORT_PAST_TOKENS, MAX_PADDING_RATIO * chunks[idx].stop):
            members = chunks[first:idx]
            groups.append(_group(members, first, tokens_per_block=tokens_per_block, dtype=dtype))
            first = idx
    return tuple(groups)


def _group(
    chunks: Seq[Chunk], first_row: int, *, tokens_per_block: int, dtype: torch.dtype
) -> SingleGroup:
    """Plan B one-token chunks, the first of which has the longest past."""
    rows = slice(first_row, first_row + len(chunks))
    size, longest = tokens_per_block, chunks[0].stop
    if len(chunks) == 1:
        blocks = chunks[0].sequence.blocks
        return SingleGroup(rows, _slots_of(blocks, longest, tokens_per_block=size), None)
    num_blocks = -(-longest // size)
    tables = []
    for chunk in chunks:
        # Padding repeats the sequence's own first block: its first slots are surely written.
        blocks = chunk.sequence.blocks[:num_blocks]
        tables.append(blocks + blocks[:1] * (num_blocks - len(blocks)))
    starts = torch.tensor(tables).mul_(size)  # (B, S / size)
    slots = (starts.unsqueeze(-1) + torch.arange(size)).flatten(1)[:, :longest]  # (B, S)
    lengths = torch.tensor([chunk.stop for chunk in chunks]).unsqueeze(-1)  # (B, 1)
    if chunks[-1].stop == longest:
        return SingleGroup(rows, slots.flatten(), None)
    is_real = torch.arange(longest) < lengths  # (B, S)
    slots = torch.where(is_real, slots, starts[:, :1])
    return SingleGroup(rows, slots.flatten(), _additive(is_real, dtype)[:, None, None, :])


def _slots_of(blocks: Seq[int], length: int, *, tokens_per_block: int) -> slice | Tensor:
    """Find the first `length` tokens of these blocks; a range needs no copying when it is read."""
    num_blocks = -(-length // tokens_per_block)
    used = list(blocks[:num_blocks])
    first = used[0]
    if used == list(range(first, first + num_blocks)):
        return slice(first * tokens_per_block, first * tokens_per_block + length)
    starts = torch.tensor(used).mul_(tokens_per_block).unsqueeze(-1)
    return (starts + torch.arange(tokens_per_block)).flatten()[:length]


def _additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """Make a mask to be added to attention scores from a boolean one."""
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill_(~allowed, float("-inf"))
