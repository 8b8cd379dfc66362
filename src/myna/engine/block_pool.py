"""Who holds which block of the key/value cache: counts, names and the order of eviction.

Every block is in exactly one of three states: used (somebody holds it), cached (nobody does, but
its content has a name and may be wanted again) or free. Not here: the content (kv_cache) and what a
name means (prefix_cache).
"""

from __future__ import annotations

from collections.abc import Callable


class OutOfBlocks(Exception):
    """Tell the scheduler that it must preempt somebody; never reaches a caller."""


class BlockPool:
    """Lend blocks by number. What is lent must be released as often as it was allocated or shared.

    Args:
        num_blocks: how many there are.
        on_freed: called with each block whose content is given up, before it can be lent again.
    """

    def __init__(self, num_blocks: int, on_freed: Callable[[int], None] | None = None) -> None:
        self.num_blocks = num_blocks
        self._on_freed = on_freed
        self._num_holders = [0] * num_blocks
        # Dictionaries for their order: blocks are lent lowest first, and evicted longest unused
        # first.
        self._free: dict[int, None] = dict.fromkeys(range(num_blocks))
        self._cached: dict[int, None] = {}
        self._name_of: dict[int, bytes] = {}
        self._block_of: dict[bytes, int] = {}

    @property
    def num_free(self) -> int:
        """Count the blocks without content."""
        return len(self._free)

    @property
    def num_cached(self) -> int:
        """Count the blocks that nobody holds but whose content is kept."""
        return len(self._cached)

    @property
    def num_used(self) -> int:
        """Count the blocks that somebody holds."""
        return self.num_blocks - len(self._free) - len(self._cached)

    @property
    def num_available(self) -> int:
        """Count the blocks that `allocate` can lend."""
        return len(self._free) + len(self._cached)

    def num_holders(self, block: int) -> int:
        """Count those who hold a block."""
        return self._num_holders[block]

    def allocate(self, after: int | None = None) -> int:
        """Lend one block: the one right after block `after` if it is free, any free one, or the
        longest unused.

        Raises:
            OutOfBlocks: if every block is in use.
        """
        if after is not None and after + 1 in self._free:
            block = after + 1
            del self._free[block]
        elif self._free:
            block = next(iter(self._free))
            del self._free[block]
        elif self._cached:
            block = next(iter(self._cached))
            del self._cached[block]
            self._forget_name(block)
            self._give_up(block)
        else:
            raise OutOfBlocks(f"all {self.num_blocks} blocks are in use")
        self._num_holders[block] = 1
        return block

    def share(self, block: int) -> None:
        """Hold a used or cached block once more."""
        assert block not in self._free, f"block {block} is free and cannot be shared"
        self._cached.pop(block, None)
        self._num_holders[block] += 1

    def release(self, block: int) -> None:
        """Give a block back; when nobody else holds it, it is kept if it has a name and freed if
        not.
        """
        assert self._num_holders[block] > 0, f"block {block} is released but nobody holds it"
        self._num_holders[block] -= 1
        if self._num_holders[block] > 0:
            return
        if block in self._name_of:
            self._cached[block] = None
        else:
            self._give_up(block)
            self._free[block] = None

    def name(self, block: int, key: bytes) -> None:
        """Name a used block's content; nothing happens if another block bears the name or this one
        has one.
        """
        assert self._num_holders[block] > 0, f"block {block} is named but nobody holds it"
        if key not in self._block_of and block not in self._name_of:
            self._name_of[block] = key
            self._block_of[key] = block

    def find(self, key: bytes) -> int | None:
        """Give the block whose content bears this name; `share` it before anything else is
        allocated.
        """
        return self._block_of.get(key)

    def forget(self, block: int) -> None:
        """Take a block's name away, so that nobody can find it again; a cached one is freed."""
        self._forget_name(block)
        if block in self._cached:
            del self._cached[block]
            self._give_up(block)
            self._free[block] = None

    def forget_all(self) -> None:
        """Take every name away."""
        for block in list(self._name_of):
            self.forget(block)

    def check_integrity(self) -> None:
        """Assert that every block is in one state, and that names and blocks agree."""
        used = {block for block, holders in enumerate(self._num_holders) if holders > 0}
        assert min(self._num_holders, default=0) >= 0, "a block has a negative number of holders"
        assert not used & self._free.keys(), "a used block is free"
        assert not used & self._cached.keys(), "a used block is cached"
        assert not self._free.keys() & self._cached.keys(), "a block is both free and cached"
        assert len(used) + self.num_free + self.num_cached == self.num_blocks, "a block is lost"
        assert {key: block for block, key in self._name_of.items()} == self._block_of, (
            "names and blocks disagree"
        )
        assert self._cached.keys() <= self._name_of.keys(), "a cached block has no name"
        assert not self._free.keys() & self._name_of.keys(), "a free block has a name"

    def _forget_name(self, block: int) -> None:
        key = self._name_of.pop(block, None)
        if key is not None:
            del self._block_of[key]

    def _give_up(self, block: int) -> None:
        if self._on_freed is not None:
            self._on_freed(block)
