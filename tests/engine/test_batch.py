"""Tokens are packed in order, and each knows where its past is."""

from __future__ import annotations

import math

import torch

from myna.core.requests import RequestId
from myna.engine.batch import Chunk, in_packing_order, pack
from myna.engine.sequence import EngineRequest, Sequence
from myna.layers.cache import PackedBatch, Rows, Tap


def make_chunk(token_ids: list[int], blocks: list[int], start: int, stop: int) -> Chunk:
    request = EngineRequest(id=RequestId("a"), token_ids=tuple(token_ids))
    sequence = Sequence(request, 0, seed=0, arrival=0)
    sequence.blocks = blocks
    return Chunk(sequence, start, stop)


def test_tokens_positions_and_slots_stand_in_order():
    chunks = [make_chunk([7, 8, 9], [5, 2], 2, 3), make_chunk([1, 2, 3, 4], [0, 1], 1, 4)]
    batch, plan = pack(chunks, tokens_per_block=2, dtype=torch.float32)
    assert batch.token_ids.tolist() == [9, 2, 3, 4]
    assert batch.positions.tolist() == [2, 1, 2, 3]
    assert plan.slots.tolist() == [4, 1, 2, 3]


def test_single_tokens_get_a_table_of_blocks():
    chunks = [make_chunk([7] * 5, [5, 2, 8], 4, 5), make_chunk([1], [3], 0, 1)]
    _, plan = pack(chunks, tokens_per_block=2, dtype=torch.float32)
    assert plan.block_tables[0].tolist() == [5, 2, 8]
    assert plan.block_tables[1, 0] == 3
    assert plan.lengths.tolist() == [5, 1]
    assert (plan.block_tables.dtype, plan.lengths.dtype) == (torch.int32, torch.int32)
    assert plan.spans == ()


def test_a_span_without_a_past_needs_no_mask():
    _, plan = pack([make_chunk([1, 2, 3], [4, 5], 0, 3)], tokens_per_block=2, dtype=torch.float32)
    (span,) = plan.spans
    assert (span.rows, span.past, span.mask) == (slice(0, 3), slice(8, 11), None)
    assert len(plan.lengths) == 0


def test_a_span_with_a_past_sees_it_and_not_the_future():
    chunk = make_chunk([1, 2, 3], [4, 5], 1, 3)
    _, plan = pack([chunk], tokens_per_block=2, dtype=torch.bfloat16)
    mask = plan.spans[0].mask
    assert mask.dtype == torch.bfloat16
    assert mask.tolist() == [[0, 0, -math.inf], [0, 0, 0]]


def test_scattered_blocks_are_read_slot_by_slot():
    for blocks in ([5, 2, 7], [2, 4, 3]):
        chunk = make_chunk([1] * 5, blocks, 0, 5)
        _, plan = pack([chunk], tokens_per_block=2, dtype=torch.float32)
        wanted = [2 * block + offset for block in blocks for offset in (0, 1)][:5]
        assert plan.spans[0].past.tolist() == wanted


def test_single_tokens_are_packed_first():
    long, short = make_chunk([1] * 4, [0, 1], 0, 4), make_chunk([1], [2], 0, 1)
    assert in_packing_order([long, short, long]) == [short, long, long]


def test_a_chunk_knows_whether_a_token_follows():
    assert make_chunk([1, 2, 3], [0], 1, 3).is_last
    assert not make_chunk([1, 2, 3], [0], 1, 2).is_last


def test_chunks_of_media_prompts_carry_their_rows_positions_and_taps():
    values = torch.arange(6.0).reshape(3, 2)
    out = Rows(torch.tensor([1, 2, 3]), torch.zeros(3, 2))
    prompt = PackedBatch(
        torch.tensor([5, 6, 6, 6, 7]),
        torch.arange(15.0).reshape(3, 5),
        replaced=(Rows(torch.tensor([1, 2, 3]), values),),
        added=((Rows(torch.tensor([2]), values[:1]),),),
        taps=(Tap(1, out),),
    )
    ids = tuple(prompt.token_ids.tolist())
    request = EngineRequest(id=RequestId("a"), token_ids=ids, prompt=prompt, advance=-2.5)
    sequence = Sequence(request, 0, seed=0, arrival=0)
    sequence.token_ids += [30, 31]
    sequence.blocks = [0, 1]
    chunks = [make_chunk([8, 9], [2], 1, 2), Chunk(sequence, 2, 7)]
    batch, _ = pack(chunks, tokens_per_block=4, dtype=torch.float32)
    assert batch.token_ids.tolist() == [9, 6, 6, 7, 30, 31]
    assert batch.positions.tolist() == [
        [1, 2, 3, 4, 2.5, 3.5],
        [1, 7, 8, 9, 2.5, 3.5],
        [1, 12, 13, 14, 2.5, 3.5],
    ]
    assert batch.replaced[0].rows.tolist() == [1, 2]
    assert batch.replaced[0].values.tolist() == values[1:].tolist()
    assert batch.added[0][0].rows.tolist() == [1]
    batch.taps[0].out.values.fill_(1.0)
    assert out.values[:, 0].tolist() == [0, 1, 1]
    within, _ = pack([Chunk(sequence, 0, 3)], tokens_per_block=4, dtype=torch.float32)
    assert within.token_ids.tolist() == [5, 6, 6]
