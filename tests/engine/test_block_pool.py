"""Blocks are lent, shared, kept and evicted, and none is ever lost."""

from __future__ import annotations

import pytest

from myna.engine.block_pool import BlockPool, OutOfBlocks


def test_allocating_takes_the_lowest_free_block():
    pool = BlockPool(3)
    assert [pool.allocate(), pool.allocate()] == [0, 1]
    assert (pool.num_used, pool.num_free, pool.num_cached) == (2, 1, 0)


def test_allocating_prefers_the_block_after_the_last_one():
    pool = BlockPool(4)
    first = [pool.allocate() for _ in range(3)]
    pool.release(first[0])
    assert pool.allocate(after=first[2]) == 3


def test_allocating_from_a_full_pool_raises():
    pool = BlockPool(2)
    pool.allocate()
    pool.allocate()
    with pytest.raises(OutOfBlocks, match="all 2 blocks are in use"):
        pool.allocate()


def test_a_released_block_without_name_is_freed():
    freed = []
    pool = BlockPool(2, freed.append)
    block = pool.allocate()
    pool.release(block)
    assert pool.num_free == 2
    assert freed == [block]


def test_a_released_block_with_a_name_is_kept_and_found():
    freed = []
    pool = BlockPool(2, freed.append)
    block = pool.allocate()
    pool.name(block, b"x")
    pool.release(block)
    assert (pool.num_cached, pool.find(b"x"), freed) == (1, block, [])


def test_a_shared_block_is_kept_until_its_last_holder_releases_it():
    pool = BlockPool(1)
    block = pool.allocate()
    pool.share(block)
    pool.release(block)
    assert pool.num_used == 1
    pool.release(block)
    assert pool.num_free == 1


def test_sharing_a_cached_block_makes_it_used():
    pool = BlockPool(1)
    block = pool.allocate()
    pool.name(block, b"x")
    pool.release(block)
    pool.share(block)
    assert (pool.num_used, pool.num_cached) == (1, 0)
    pool.check_integrity()


def test_the_longest_unused_cached_block_is_evicted_first():
    freed = []
    pool = BlockPool(3, freed.append)
    blocks = [pool.allocate() for _ in range(3)]
    for block in blocks:
        pool.name(block, bytes([block]))
    for block in (1, 0, 2):
        pool.release(block)
    assert pool.allocate() == 1
    assert freed == [1]
    assert pool.find(bytes([1])) is None
    assert pool.find(bytes([0])) == 0


def test_a_name_belongs_to_the_block_that_had_it_first():
    pool = BlockPool(2)
    first, second = pool.allocate(), pool.allocate()
    pool.name(first, b"x")
    pool.name(second, b"x")
    assert pool.find(b"x") == first
    pool.release(second)
    assert pool.num_free == 1


def test_a_forgotten_block_is_not_found_again():
    pool = BlockPool(2)
    used, cached = pool.allocate(), pool.allocate()
    pool.name(used, b"used")
    pool.name(cached, b"cached")
    pool.release(cached)
    pool.forget_all()
    pool.check_integrity()
    assert (pool.find(b"used"), pool.find(b"cached"), pool.num_free) == (None, None, 1)


def test_releasing_a_block_that_nobody_holds_is_our_mistake():
    pool = BlockPool(1)
    with pytest.raises(AssertionError, match="block 0 is released but nobody holds it"):
        pool.release(0)


def test_sharing_a_free_block_is_our_mistake():
    with pytest.raises(AssertionError, match="block 0 is free and cannot be shared"):
        BlockPool(1).share(0)


def test_naming_a_block_that_nobody_holds_is_our_mistake():
    with pytest.raises(AssertionError, match="block 0 is named but nobody holds it"):
        BlockPool(1).name(0, b"x")


def test_a_lost_block_is_noticed():
    pool = BlockPool(2)
    pool._free.popitem()
    with pytest.raises(AssertionError, match="a block is lost"):
        pool.check_integrity()
