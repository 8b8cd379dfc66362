"""Voices' keys and values grow apart and are attended to together."""

from __future__ import annotations

import torch

from myna.layers.dense_cache import DenseCache
from myna.speech.cache import FIRST_CAPACITY, VoiceCache, joined


class Shape:
    num_layers, num_kv_heads, head_width, dtype = 2, 2, 8, torch.float32


def qkv(num: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    heads = torch.randn(num, 8, 8, generator=generator)
    return heads.split((4, 2, 2), 1)


def test_joined_voices_attend_as_each_would_alone():
    caches = [VoiceCache(Shape()), VoiceCache(Shape())]
    dense = [DenseCache(), DenseCache()]
    for sizes in ((5, 3), (1, 1), (1, 1)):
        parts = [qkv(size, seed) for seed, size in enumerate(sizes)]
        layers = joined(caches, sizes, num_layers=2)
        out = layers[1].attend(*(torch.cat(x) for x in zip(*parts, strict=True)))
        expected = torch.cat([one.attend(*part) for one, part in zip(dense, parts, strict=True)])
        assert torch.allclose(out, expected, atol=1e-6)
        for cache, size in zip(caches, sizes, strict=True):
            cache.length += size


def test_what_a_failed_step_wrote_does_not_count():
    cache, dense = VoiceCache(Shape()), DenseCache()
    for seed, counts in ((1, True), (2, False), (3, True)):
        (layer, _) = joined([cache], [1], num_layers=2)
        out = layer.attend(*qkv(1, seed))
        if counts:
            assert torch.allclose(out, dense.attend(*qkv(1, seed)), atol=1e-6)
            cache.length += 1


def test_room_grows_and_keeps_what_is_there():
    cache = VoiceCache(Shape())
    cache.reserve(3)
    small = cache.num_bytes
    (layer, _) = joined([cache], [3], num_layers=2)
    layer.attend(*qkv(3, 0))
    cache.length = FIRST_CAPACITY
    before = cache._store[:, :, :, :3].clone()
    cache.reserve(1)
    assert cache.num_bytes == 2 * small
    assert torch.equal(cache._store[0, :, :, :3], before[0])
    assert cache._store[:, :, :, FIRST_CAPACITY:].isnan().all()
