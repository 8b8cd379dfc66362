"""Names for the content of blocks, such that equal names mean equal keys and values.

A block's keys and values depend on all tokens before it, so its name is the digest of its parent's
name, its own tokens and the media that begin in it; the first parent is the digest of everything
else they depend on. Every field is labelled and preceded by its length, so that no two different
inputs make the same bytes.
Not here: which block bears which name (block_pool).
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence

from myna.engine.block_pool import BlockPool

LENGTH_BYTES = 8

Marks = Sequence[tuple[int, bytes]]
"""Each token from which on something beside tokens is read, such as a picture, and its digest."""


def digest(fields: Iterable[tuple[str, bytes]]) -> bytes:
    """Hash labelled fields with SHA-256; client-made identifiers are no substitute for the bytes
    they name.
    """
    hasher = hashlib.sha256()
    for label, value in fields:
        for part in (label.encode(), value):
            hasher.update(len(part).to_bytes(LENGTH_BYTES, "big"))
            hasher.update(part)
    return hasher.digest()


def root_key(labels: Iterable[tuple[str, bytes]]) -> bytes:
    """Name the empty prefix under everything that keys and values depend on beside the tokens."""
    return digest((("kind", b"root"), *labels))


def block_key(parent: bytes, token_ids: Sequence[int], marks: Marks = ()) -> bytes:
    """Name a full block by what comes before it, its tokens, and its marks, counted from it on."""
    tokens = array("q", token_ids).tobytes()
    begun = [("mark", array("q", [row]).tobytes() + found) for row, found in marks]
    return digest((("kind", b"block"), ("parent", parent), ("tokens", tokens), *begun))


class PrefixCache:
    """Find, and later offer, blocks that begin a sequence of tokens."""

    def __init__(self, pool: BlockPool, *, tokens_per_block: int) -> None:
        self._pool = pool
        self._tokens_per_block = tokens_per_block

    def take(
        self, root: bytes, token_ids: Sequence[int], keys: list[bytes], *, marks: Marks = ()
    ) -> list[int]:
        """Share the longest known run of blocks that begins the tokens, leaving at least one token
        to compute.

        Args:
            root: the sequence's `root_key`.
            token_ids: the sequence's tokens.
            keys: names of the sequence's first blocks, already known or empty; is extended by what
                is found.
            marks: the sequence's.

        Returns:
            The blocks; the caller holds them now and owes the pool a release of each.
        """
        blocks: list[int] = []
        for idx in range((len(token_ids) - 1) // self._tokens_per_block):
            self._extend_keys(root, token_ids, keys, until=idx + 1, marks=marks)
            block = self._pool.find(keys[idx])
            if block is None:
                break
            self._pool.share(block)
            blocks.append(block)
        return blocks

    def offer(
        self,
        root: bytes,
        token_ids: Sequence[int],
        keys: list[bytes],
        *,
        blocks: Sequence[int],
        num_before: int,
        num_computed: int,
        marks: Marks = (),
    ) -> None:
        """Name the blocks that became full when `num_before` computed tokens grew to
        `num_computed`.
        """
        first, last = num_before // self._tokens_per_block, num_computed // self._tokens_per_block
        self._extend_keys(root, token_ids, keys, until=last, marks=marks)
        for idx in range(first, last):
            self._pool.name(blocks[idx], keys[idx])

    def _extend_keys(
        self, root: bytes, token_ids: Sequence[int], keys: list[bytes], *, until: int, marks: Marks
    ) -> None:
        size = self._tokens_per_block
        while len(keys) < until:
            start = len(keys) * size
            parent = keys[-1] if keys else root
            own = [(row - start, found) for row, found in marks if start <= row < start + size]
            keys.append(block_key(parent, token_ids[start : start + size], own))
