"""Attention over blocks equals attention by the formula, wherever the blocks are."""

from __future__ import annotations

import math

import pytest
import torch

from myna.core.requests import RequestId
from myna.engine.batch import Chunk, pack
from myna.engine.kv_cache import KVCache, kv_bytes_per_token
from myna.engine.sequence import EngineRequest, Sequence
from myna.kernels.cached import heads_of

NUM_HEADS, NUM_KV_HEADS, WIDTH = 6, 2, 16
FLOAT32_ATOL = 1e-5
BFLOAT16_ATOL = 2**-6  # two roundings of values up to 2
EIGHT_BITS_SHARE = 0.02


class Shape:
    """What the cache asks of a decoder."""

    num_layers, num_kv_heads, head_width, vocab_size = 3, NUM_KV_HEADS, WIDTH, 10

    device = torch.device("cpu")

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


def by_the_formula(q, k, v):
    """Attend causally within one whole sequence."""
    k = k.repeat_interleave(NUM_HEADS // NUM_KV_HEADS, 1)
    v = v.repeat_interleave(NUM_HEADS // NUM_KV_HEADS, 1)
    scores = torch.einsum("thk,shk->hts", q, k) / math.sqrt(WIDTH)
    future = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
    return torch.einsum("hts,shk->thk", scores.masked_fill(future, -math.inf).softmax(-1), v)


@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float32, FLOAT32_ATOL), (torch.bfloat16, BFLOAT16_ATOL)]
)
def test_attention_in_chunks_is_that_of_whole_sequences(dtype, atol):
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator).to(dtype).float()

    tables = [[3, 4, 5, 6, 7], [11, 0, 9, 2, 10], [1, 8, 12, 14, 13]]
    lengths = [18, 20, 13]
    cuts = [[0, 5, 6, 17, 18], [0, 1, 2, 19, 20], [0, 9, 12, 12, 13]]
    qs = [random(length, NUM_HEADS, WIDTH) for length in lengths]
    ks = [random(length, NUM_KV_HEADS, WIDTH) for length in lengths]
    vs = [random(length, NUM_KV_HEADS, WIDTH) for length in lengths]
    cache = KVCache(Shape(dtype), num_blocks=16, tokens_per_block=4)
    for block in range(16):
        cache.poison(block)
    sequences = []
    for table, length in zip(tables, lengths, strict=True):
        request = EngineRequest(id=RequestId("a"), token_ids=(0,) * length)
        sequence = Sequence(request, 0, seed=0, arrival=0)
        sequence.blocks = table
        sequences.append(sequence)
    for turn in range(4):
        parts = [
            (idx, cut[turn], cut[turn + 1])
            for idx, cut in enumerate(cuts)
            if cut[turn] < cut[turn + 1]
        ]
        parts.sort(key=lambda part: part[2] - part[1] > 1)
        chunks = [Chunk(sequences[idx], start, stop) for idx, start, stop in parts]
        _, plan = pack(chunks, tokens_per_block=4, dtype=dtype)
        q, k, v = (
            torch.cat([whole[idx][start:stop] for idx, start, stop in parts]).to(dtype)
            for whole in (qs, ks, vs)
        )
        found = cache.layers(plan)[1].attend(q, k, v).float()
        wanted = torch.cat(
            [
                by_the_formula(qs[idx][:stop], ks[idx][:stop], vs[idx][:stop])[start:]
                for idx, start, stop in parts
            ]
        )
        torch.testing.assert_close(found, wanted, atol=atol, rtol=0)


def test_poison_fills_one_block_of_every_layer():
    cache = KVCache(Shape(torch.float32), num_blocks=4, tokens_per_block=2)
    for store in cache.keys + cache.values:
        store.zero_()
    cache.poison(1)
    for store in cache.keys + cache.values:
        assert store[1].isnan().all()
        assert not store[[0, 2, 3]].isnan().any()


def test_a_packed_cache_is_as_near_as_eight_bits_are():
    width, length = 32, 40
    shape = Shape(torch.float32)
    shape.head_width = width
    generator = torch.Generator().manual_seed(1)
    q = torch.randn(length, NUM_HEADS, width, generator=generator)
    k, v = (torch.randn(length, NUM_KV_HEADS, width, generator=generator) for _ in range(2))
    found = {}
    for is_packed in (False, True):
        cache = KVCache(shape, num_blocks=16, tokens_per_block=4, is_packed=is_packed)
        for block in range(16):
            cache.poison(block)
        sequence = Sequence(
            EngineRequest(id=RequestId("a"), token_ids=(0,) * length), 0, seed=0, arrival=0
        )
        sequence.blocks = [7, 3, 9, 4, 5, 6, 15, 0, 1, 2]
        parts = []
        for start, stop in ((0, 17), (17, 39), (39, 40)):  # a chunk, one with a past, one token
            _, plan = pack([Chunk(sequence, start, stop)], tokens_per_block=4, dtype=torch.float32)
            layer = cache.layers(plan)[0]
            parts.append(layer.attend(q[start:stop], k[start:stop], v[start:stop]))
        found[is_packed] = torch.cat(parts)
    off = (found[True] - found[False]).norm() / found[False].norm()
    assert 0 < off < EIGHT_BITS_SHARE


def test_a_packed_cache_is_about_half_as_large_and_can_be_poisoned():
    shape = Shape(torch.bfloat16)
    shape.head_width = 64
    assert kv_bytes_per_token(shape, is_packed=True) == 2 * 3 * NUM_KV_HEADS * 68
    cache = KVCache(shape, num_blocks=4, tokens_per_block=2, is_packed=True)
    for store in cache.keys + cache.values:
        store.zero_()
    cache.poison(1)
    for store in cache.keys + cache.values:
        assert heads_of(store[1], torch.float32).isnan().all()
        assert (heads_of(store[[0, 2, 3]], torch.float32) == 0).all()


def test_the_bytes_of_a_token_are_counted():
    assert kv_bytes_per_token(Shape(torch.bfloat16)) == 2 * 3 * NUM_KV_HEADS * WIDTH * 2
    assert kv_bytes_per_token(Shape(torch.float32)) == 2 * 3 * NUM_KV_HEADS * WIDTH * 4
