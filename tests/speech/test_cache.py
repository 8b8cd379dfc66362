"""Voices' keys and values grow apart in one pool, and are attended to together."""

from __future__ import annotations

import pytest
import torch

from myna.layers.cache import PagedCache
from myna.layers.dense_cache import DenseCache
from myna.speech.cache import BLOCK_TOKENS, FIRST_BLOCKS, CachePool, VoiceCache, joined


class Shape:
    num_layers, num_kv_heads, head_width, dtype = 2, 2, 8, torch.float32
    device = torch.device("cpu")


@pytest.fixture
def pool() -> CachePool:
    return CachePool(Shape())


def qkv(num: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    heads = torch.randn(num, 8, 8, generator=generator)
    return heads.split((4, 2, 2), 1)


def test_joined_voices_attend_as_each_would_alone(pool):
    caches = [VoiceCache(pool), VoiceCache(pool)]
    dense = [DenseCache(), DenseCache()]
    for sizes in ((BLOCK_TOKENS - 1, 3), (1, 1), (1, 1), (1, 1)):
        parts = [qkv(size, seed) for seed, size in enumerate(sizes)]
        layers = joined(caches, sizes)
        out = layers[1].attend(*(torch.cat(x) for x in zip(*parts, strict=True)))
        expected = torch.cat([one.attend(*part) for one, part in zip(dense, parts, strict=True)])
        assert torch.allclose(out, expected, atol=1e-6)
        for cache, size in zip(caches, sizes, strict=True):
            cache.length += size
    assert [len(cache.blocks) for cache in caches] == [2, 1]


def test_pages_are_handed_out_for_steps_of_one_position_each(pool):
    caches = [VoiceCache(pool), VoiceCache(pool)]
    (layer, _) = joined(caches, [3, 1])
    assert isinstance(layer, PagedCache)
    assert layer.pages is None
    caches[0].length, caches[1].length = 3, 1
    (layer, _) = joined(caches, [1, 1])
    assert isinstance(layer, PagedCache)
    assert layer.pages is not None
    assert layer.pages.lengths.tolist() == [4, 2]
    assert layer.pages.keys.data_ptr() == pool.store[0, 0].data_ptr()


def test_what_a_failed_step_wrote_does_not_count(pool):
    cache, dense = VoiceCache(pool), DenseCache()
    for seed, counts in ((1, True), (2, False), (3, True)):
        (layer, _) = joined([cache], [1])
        out = layer.attend(*qkv(1, seed))
        if counts:
            assert torch.allclose(out, dense.attend(*qkv(1, seed)), atol=1e-6)
            cache.length += 1


def test_the_pool_grows_and_keeps_what_is_there(pool):
    cache = VoiceCache(pool)
    (layer, _) = joined([cache], [3])
    layer.attend(*qkv(3, 0))
    before = pool.store[0, :, cache.blocks[0], :3].clone()
    cache.length = FIRST_BLOCKS * BLOCK_TOKENS
    cache.reserve(1)
    assert pool.num_blocks == 2 * FIRST_BLOCKS
    assert torch.equal(pool.store[0, :, cache.blocks[0], :3], before)
    assert pool.store[:, :, cache.blocks[-1]].isnan().all()


def test_blocks_come_back_and_are_forgotten(pool):
    cache = VoiceCache(pool)
    (layer, _) = joined([cache], [3])
    layer.attend(*qkv(3, 0))
    cache.length = 3
    cache.release()
    assert (cache.length, pool.num_free) == (0, pool.num_blocks)
    for _ in range(FIRST_BLOCKS):
        block = pool.take()
        assert pool.store[:, :, block].isnan().all()


def test_many_positions_after_others_see_them_and_those_before_each(pool):
    caches = [VoiceCache(pool), VoiceCache(pool)]
    dense = [DenseCache(), DenseCache()]
    for sizes in ((3, 1), (BLOCK_TOKENS, 2), (5, 1)):
        parts = [qkv(size, seed) for seed, size in enumerate(sizes)]
        layers = joined(caches, sizes)
        out = layers[0].attend(*(torch.cat(x) for x in zip(*parts, strict=True)))
        expected = torch.cat([one.attend(*part) for one, part in zip(dense, parts, strict=True)])
        assert torch.allclose(out, expected, atol=1e-6)
        for cache, size in zip(caches, sizes, strict=True):
            cache.length += size
