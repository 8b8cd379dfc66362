"""The tokens of one step, packed, and where each of them finds its past.

Not here: which tokens are taken (scheduler), and the keys and values themselves (kv_cache).
"""

from __future__ import annotations

import math
from collections.abc import Sequence as Seq
from dataclasses import dataclass

import torch
from torch import Tensor

from myna.engine.sequence import Sequence
from myna.layers.cache import PackedBatch, join

# A causal square is read in stripes of so many rows: the masked half is mostly left unread.
MAX_SPAN_TOKENS = 128


@dataclass(frozen=True, slots=True)
class Chunk:
    """Take tokens `start` to `stop` of a sequence; the cache holds those before `start`.

    `guesses` may follow the sequence's last token: they are computed, and checked, together with
    it.
    """

    sequence: Sequence
    start: int
    stop: int
    guesses: tuple[int, ...] = ()

    @property
    def end(self) -> int:
        """Give the position after the last token, guesses included."""
        return self.stop + len(self.guesses)

    @property
    def num_tokens(self) -> int:
        """Count the tokens, guesses included."""
        return self.end - self.start

    @property
    def num_rows(self) -> int:
        """Count the tokens after which another is chosen: the sequence's last and all guesses."""
        return 1 + len(self.guesses) if self.is_last else 0

    @property
    def is_last(self) -> bool:
        """Tell whether the sequence's next token can be chosen after this chunk."""
        return self.stop == len(self.sequence.token_ids)


@dataclass(frozen=True, slots=True)
class Span:
    """Let T successive tokens of one sequence attend to its past and to each other.

    Attributes:
        rows: their places in the packed batch.
        past: the S slots to read, the T new ones at the end.
        mask: (T, S), 0 where a query may look and -inf elsewhere; `None` if there is no past and
            the causal triangle is all.
    """

    rows: slice
    past: slice | Tensor
    mask: Tensor | None

    def to(self, device: torch.device) -> Span:
        """Move it to a device."""
        return Span(
            self.rows,
            self.past if isinstance(self.past, slice) else self.past.to(device),
            None if self.mask is None else self.mask.to(device),
        )


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """Say, once a step for all layers, where the N new tokens go and what each reads.

    The sequences with one new token, B of them, come first in the packed batch.

    Attributes:
        slots: (N,) int64, where the new keys and values are written.
        block_tables: (B, table_width) int32, the blocks of those sequences, in order.
        lengths: (B,) int32, how many positions they read, their own among them.
        spans: the other sequences.
    """

    slots: Tensor
    block_tables: Tensor
    lengths: Tensor
    spans: tuple[Span, ...]

    def to(self, device: torch.device) -> AttentionPlan:
        """Move it to a device."""
        if self.slots.device == device:
            return self
        return AttentionPlan(
            slots=self.slots.to(device),
            block_tables=self.block_tables.to(device),
            lengths=self.lengths.to(device),
            spans=tuple(span.to(device) for span in self.spans),
        )


def in_packing_order(chunks: Seq[Chunk]) -> list[Chunk]:
    """Sort chunks as `pack` wants them: one-token chunks first."""
    return sorted(chunks, key=lambda chunk: chunk.num_tokens > 1)


def pack(
    chunks: Seq[Chunk], *, tokens_per_block: int, dtype: torch.dtype
) -> tuple[PackedBatch, AttentionPlan]:
    """Lay the chunks' tokens one after another and plan their attention.

    Args:
        chunks: in packing order.
        tokens_per_block: the pool's.
        dtype: of the masks; the queries'.
    """
    num_rows = 0
    slots: list[int] = []
    singles: list[Chunk] = []
    spans: list[Span] = []
    for chunk in chunks:
        first_row, num_rows = num_rows, num_rows + chunk.num_tokens
        blocks = chunk.sequence.blocks
        for position in range(chunk.start, chunk.end):
            block = blocks[position // tokens_per_block]
            slots.append(block * tokens_per_block + position % tokens_per_block)
        if chunk.num_tokens == 1:
            singles.append(chunk)
        else:
            spans += _spans(chunk, first_row, tokens_per_block=tokens_per_block, dtype=dtype)
    plan = AttentionPlan(
        slots=torch.tensor(slots),
        block_tables=_block_tables(singles),
        lengths=torch.tensor([chunk.stop for chunk in singles], dtype=torch.int32),
        spans=tuple(spans),
    )
    return _lay(chunks), plan


def _lay(chunks: Seq[Chunk]) -> PackedBatch:
    """Lay the chunks' tokens, and what belongs to them, one after another."""
    if any(chunk.sequence.request.prompt is not None for chunk in chunks):
        return join([_rich(chunk) for chunk in chunks])
    token_ids: list[int] = []
    positions: list[int] = []
    for chunk in chunks:
        token_ids += chunk.sequence.token_ids[chunk.start : chunk.stop]
        token_ids += chunk.guesses
        positions += range(chunk.start, chunk.end)
    return PackedBatch(token_ids=torch.tensor(token_ids), positions=torch.tensor(positions))


def _rich(chunk: Chunk) -> PackedBatch:
    """Lay one chunk: what of the prompt is in it, then what of the answer."""
    sequence = chunk.sequence
    prompt, num_prompt = sequence.request.prompt, sequence.num_prompt
    if prompt is not None and chunk.end <= num_prompt:
        return prompt.cut(chunk.start, chunk.end)
    start = chunk.start if prompt is None else max(chunk.start, num_prompt)
    rest = PackedBatch(
        token_ids=torch.tensor([*sequence.token_ids[start : chunk.stop], *chunk.guesses]),
        positions=torch.arange(start, chunk.end) + sequence.request.advance,
    )
    if prompt is None or chunk.start >= num_prompt:
        return rest
    return join([prompt.cut(chunk.start, num_prompt), rest])


def _block_tables(chunks: Seq[Chunk]) -> Tensor:
    """Write the blocks of B sequences below each other; what a shorter one lacks is never read."""
    width = max((len(chunk.sequence.blocks) for chunk in chunks), default=0)
    tables = [chunk.sequence.blocks + [0] * width for chunk in chunks]
    return torch.tensor([table[:width] for table in tables], dtype=torch.int32)  # (B, width)


def _spans(
    chunk: Chunk, first_row: int, *, tokens_per_block: int, dtype: torch.dtype
) -> list[Span]:
    """Plan one chunk of several tokens, in pieces: early tokens need not read what comes later."""
    spans = []
    for start in range(chunk.start, chunk.end, MAX_SPAN_TOKENS):
        stop = min(start + MAX_SPAN_TOKENS, chunk.end)
        past = _slots_of(chunk.sequence.blocks, stop, tokens_per_block=tokens_per_block)
        row = first_row + start - chunk.start
        rows = slice(row, row + stop - start)
        spans.append(Span(rows, past, _mask(start, stop, dtype) if start > 0 else None))
    return spans


def _mask(start: int, stop: int, dtype: torch.dtype) -> Tensor:
    """Hide from tokens `start` to `stop` those after each of them: (T, S), to be added."""
    is_future = torch.ones(stop - start, stop, dtype=torch.bool).triu(start + 1)
    return torch.zeros(is_future.shape, dtype=dtype).masked_fill_(is_future, -math.inf)


def _slots_of(blocks: Seq[int], length: int, *, tokens_per_block: int) -> slice | Tensor:
    """Find the first `length` tokens of these blocks; a range needs no copying when it is read."""
    num_blocks = -(-length // tokens_per_block)
    used = list(blocks[:num_blocks])
    first = used[0]
    if used == list(range(first, first + num_blocks)):
        return slice(first * tokens_per_block, first * tokens_per_block + length)
    starts = torch.tensor(used).mul_(tokens_per_block).unsqueeze(-1)
    return (starts + torch.arange(tokens_per_block)).flatten()[:length]
