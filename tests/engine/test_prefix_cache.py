"""Names of blocks are equal exactly when everything that the blocks depend on is."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from myna.engine.block_pool import BlockPool
from myna.engine.prefix_cache import PrefixCache, block_key, digest, root_key

FIELDS = st.lists(st.tuples(st.text(max_size=4), st.binary(max_size=4)), max_size=4)


@given(FIELDS, FIELDS)
def test_digests_are_equal_only_for_equal_fields(first, second):
    assert (digest(first) == digest(second)) == (first == second)


def test_moving_bytes_between_fields_changes_the_digest():
    assert digest([("a", b"bc")]) != digest([("ab", b"c")])
    assert digest([("a", b"b"), ("c", b"")]) != digest([("a", b""), ("c", b"b")])


def test_a_digest_is_sha256_over_lengths_and_bytes():
    plain = (1).to_bytes(8, "big") + b"a" + (2).to_bytes(8, "big") + b"bc"
    assert digest([("a", b"bc")]) == hashlib.sha256(plain).digest()


def test_a_block_key_depends_on_parent_tokens_and_labels():
    root, other = root_key([("model", b"1")]), root_key([("model", b"2")])
    keys = {block_key(root, [1, 2]), block_key(other, [1, 2]), block_key(root, [2, 1])}
    assert len(keys) == 3
    marks = [[], [(0, b"cat")], [(1, b"cat")], [(0, b"dog")], [(0, b"cat"), (1, b"dog")]]
    assert len({block_key(root, [1, 2], begun) for begun in marks}) == len(marks)
    assert root_key([("block", b"")]) != block_key(b"", [])


def filled(pool: BlockPool, cache: PrefixCache, root: bytes, tokens: list[int]) -> list[int]:
    """Compute a sequence whole, as the scheduler would."""
    blocks = [pool.allocate() for _ in range(-(-len(tokens) // 2))]
    cache.offer(root, tokens, [], blocks=blocks, num_before=0, num_computed=len(tokens))
    return blocks


def test_the_longest_known_beginning_is_taken():
    pool = BlockPool(8)
    cache = PrefixCache(pool, tokens_per_block=2)
    root = root_key([])
    blocks = filled(pool, cache, root, [1, 2, 3, 4, 5])
    assert cache.take(root, [1, 2, 3, 4, 9, 9], []) == blocks[:2]
    assert cache.take(root, [1, 2, 9, 4, 5, 6], []) == blocks[:1]
    assert cache.take(root, [9, 2, 3, 4], []) == []
    assert cache.take(root_key([("tenant", b"x")]), [1, 2, 3, 4, 5], []) == []


def test_one_token_is_always_left_to_compute():
    pool = BlockPool(8)
    cache = PrefixCache(pool, tokens_per_block=2)
    root = root_key([])
    blocks = filled(pool, cache, root, [1, 2, 3, 4])
    assert cache.take(root, [1, 2, 3, 4], []) == blocks[:1]
    assert cache.take(root, [1, 2], []) == []


def test_blocks_before_the_first_other_medium_are_shared():
    pool = BlockPool(8)
    cache = PrefixCache(pool, tokens_per_block=2)
    root, tokens = root_key([]), [1, 2, 3, 3, 4, 5, 6]
    blocks = [pool.allocate() for _ in range(4)]
    cache.offer(root, tokens, [], blocks=blocks, num_before=0, num_computed=7, marks=[(2, b"cat")])
    assert cache.take(root, tokens, [], marks=[(2, b"cat")]) == blocks[:3]
    more = [*tokens, 7, 3, 3, 8]
    assert cache.take(root, more, [], marks=[(2, b"cat"), (8, b"dog")]) == blocks[:3]
    assert cache.take(root, tokens, [], marks=[(2, b"dog")]) == blocks[:1]
    assert cache.take(root, tokens, [], marks=[(3, b"cat")]) == blocks[:1]
    assert cache.take(root, tokens, []) == blocks[:1]


def test_taken_blocks_are_held():
    pool = BlockPool(8)
    cache = PrefixCache(pool, tokens_per_block=2)
    root = root_key([])
    for block in filled(pool, cache, root, [1, 2, 3, 4]):
        pool.release(block)
    assert pool.num_used == 0
    cache.take(root, [1, 2, 3, 4, 5], [])
    assert pool.num_used == 2


def test_a_partly_filled_block_is_not_offered():
    pool = BlockPool(8)
    cache = PrefixCache(pool, tokens_per_block=2)
    root, keys, blocks = root_key([]), [], [pool.allocate(), pool.allocate()]
    cache.offer(root, [1, 2, 3], keys, blocks=blocks, num_before=0, num_computed=3)
    assert cache.take(root, [1, 2, 3, 4, 5], []) == blocks[:1]
    cache.offer(root, [1, 2, 3, 4], keys, blocks=blocks, num_before=3, num_computed=4)
    assert cache.take(root, [1, 2, 3, 4, 5], []) == blocks
