"""Who runs in the next step, with how many tokens, and who must make room.

Every running sequence that waits for its next token gets it, first. What is left of the step goes
to prompts, in chunks. When blocks run out, the youngest running sequence gives up its own and is
computed again later; the oldest can therefore always go on. Not here: the tokens' values, errors of
requests, time.
"""

from __future__ import annotations

import bisect
from dataclasses import replace

from myna.engine.batch import Chunk, in_packing_order
from myna.engine.block_pool import BlockPool
from myna.engine.config import EngineConfig
from myna.engine.lookup import PromptLookup
from myna.engine.prefix_cache import PrefixCache, root_key
from myna.engine.sequence import Sequence, Status

# With more answers in a step the processor has enough to do without guesses.
MAX_GUESSING = 4


class Scheduler:
    """Move sequences between waiting and running, and lend them blocks."""

    def __init__(self, config: EngineConfig, pool: BlockPool) -> None:
        self._config = config
        self._pool = pool
        self._prefixes = PrefixCache(pool, tokens_per_block=config.tokens_per_block)
        self.waiting: list[Sequence] = []  # by priority
        self.running: list[Sequence] = []  # by priority
        self.num_preemptions = 0

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence, behind all that arrived before it."""
        sequence.status = Status.WAITING
        bisect.insort(self.waiting, sequence, key=lambda other: other.priority)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence wherever it is, and release its blocks."""
        if sequence.status is Status.WAITING:
            self.waiting.remove(sequence)
        elif sequence.status is Status.RUNNING:
            self.running.remove(sequence)
            self._release(sequence)
        sequence.status = Status.DONE

    def next_chunks(self, max_prompt_tokens: int | None = None) -> list[Chunk]:
        """Choose the next step's tokens, in packing order, and see to it that each has a slot.

        Args:
            max_prompt_tokens: the most of them that may be prompts'; `None` leaves it to the
                configuration, as deterministic mode does always.
        """
        for sequence in list(self.running):
            if sequence.status is Status.RUNNING:
                self._make_room(sequence)
        self._admit()
        deciding = [sequence for sequence in self.running if sequence.num_pending == 1]
        reading = [sequence for sequence in self.running if sequence.num_pending > 1]
        chunks = [_chunk(sequence, 1) for sequence in deciding]
        if self._config.max_guesses > 0 and len(deciding) <= MAX_GUESSING:
            chunks = [replace(chunk, guesses=self._guess(chunk.sequence)) for chunk in chunks]
        budget = self._config.prefill_chunk_tokens if deciding else self._config.max_step_tokens
        if max_prompt_tokens is not None:
            budget = min(max_prompt_tokens, self._config.prefill_chunk_tokens)
        if self._config.is_deterministic:
            chunks += [_chunk(sequence, self._fixed_length(sequence)) for sequence in reading]
        else:
            chunks += share_budget(reading, budget)
        return in_packing_order(chunks)

    def advance(self, chunk: Chunk, *, num_right: int = 0) -> None:
        """Note that a chunk was computed, and offer the blocks that it filled to others.

        Args:
            chunk: what was computed.
            num_right: how many of its guesses were right, and have been appended to the sequence.
        """
        sequence = chunk.sequence
        sequence.num_computed = chunk.stop + num_right
        if sequence.lookup is not None and chunk.guesses:
            sequence.lookup.learn(num_right)
        self._prefixes.offer(
            self._root(sequence),
            sequence.token_ids,
            sequence.keys,
            blocks=sequence.blocks,
            num_before=chunk.start,
            num_computed=min(sequence.num_computed, self._num_shareable(sequence)),
            marks=sequence.request.marks,
        )

    def preempt(self, sequence: Sequence) -> None:
        """Take a running sequence's blocks; its tokens are kept and will be computed again."""
        self.running.remove(sequence)
        self._release(sequence)
        if sequence.lacks_prompt_scores:
            sequence.prompt_scores.clear()
        self.add(sequence)
        self.num_preemptions += 1

    def distrust(self, sequence: Sequence) -> None:
        """Let nobody reuse the blocks of a sequence whose computation went wrong."""
        for block in sequence.blocks:
            self._pool.forget(block)

    def _guess(self, sequence: Sequence) -> tuple[int, ...]:
        """Guess what follows, as far as the sequence may grow and free blocks are there for it."""
        if sequence.lookup is None:
            sequence.lookup = PromptLookup(self._config.max_guesses)
        limit = sequence.max_total - len(sequence.token_ids) - 1
        guesses = sequence.lookup.guess(sequence.token_ids, limit=limit)
        num_missing = self._num_missing(sequence, num_more=len(guesses))
        # One block for each running sequence stays: a guess is not worth a preemption.
        if num_missing > 0 and num_missing + len(self.running) > self._pool.num_available:
            return ()
        self._lend_missing(sequence, num_more=len(guesses))
        return guesses

    def _make_room(self, sequence: Sequence) -> None:
        """Lend a running sequence the block its next token needs, if need be by preempting the
        youngest.
        """
        while self._num_missing(sequence) > self._pool.num_available:
            youngest = self.running[-1]
            self.preempt(youngest)
            if youngest is sequence:
                return
        self._lend_missing(sequence)

    def _admit(self) -> None:
        """Start waiting sequences in order, as long as each finds blocks for all its tokens."""
        while self.waiting and len(self.running) < self._config.max_running:
            sequence = self.waiting[0]
            sequence.blocks = self._take_known(sequence)
            # One more block for each running sequence, or the newcomer would soon be preempted
            # again.
            if self._num_missing(sequence) + len(self.running) > self._pool.num_available:
                self._release(sequence)
                return
            self.waiting.pop(0)
            sequence.num_computed = len(sequence.blocks) * self._config.tokens_per_block
            if sequence.num_output == 0:
                sequence.num_cached = sequence.num_computed
            self._lend_missing(sequence)
            sequence.status = Status.RUNNING
            sequence.start_clock()
            bisect.insort(self.running, sequence, key=lambda other: other.priority)

    def _take_known(self, sequence: Sequence) -> list[int]:
        """Share the blocks that already hold the sequence's beginning, unless it wants more than
        their keys and values: scores, or hidden states.
        """
        if sequence.lacks_prompt_scores:
            return []
        request = sequence.request
        blocks = self._prefixes.take(
            self._root(sequence), sequence.token_ids, sequence.keys, marks=request.marks
        )
        num_usable = len(blocks)
        if request.max_cached is not None:
            num_usable = min(num_usable, request.max_cached // self._config.tokens_per_block)
        if self._config.is_deterministic:
            num_usable -= num_usable % self._blocks_per_chunk
        for block in blocks[num_usable:]:
            self._pool.release(block)
        return blocks[:num_usable]

    # Deterministic mode: a prompt is cut at multiples of the chunk's length, an answer after each
    # token, also when they are computed again; only whole chunks of prompts are shared.

    @property
    def _blocks_per_chunk(self) -> int:
        return self._config.prefill_chunk_tokens // self._config.tokens_per_block

    def _fixed_length(self, sequence: Sequence) -> int:
        """Give the length of a sequence's next chunk, which depends on its place alone."""
        size, start = self._config.prefill_chunk_tokens, sequence.num_computed
        return max(1, min(size - start % size, sequence.num_prompt - start))

    def _num_shareable(self, sequence: Sequence) -> int:
        """Count the sequence's tokens whose blocks others may use."""
        if not self._config.is_deterministic:
            return len(sequence.token_ids)
        return sequence.num_prompt - sequence.num_prompt % self._config.prefill_chunk_tokens

    def _root(self, sequence: Sequence) -> bytes:
        if sequence.root is None:
            request = sequence.request
            labels = [("model", self._config.model_label.encode()), *request.cache_labels]
            if not self._config.prefix_caching:
                labels.append(("request", request.id.encode()))
            sequence.root = root_key(labels)
        return sequence.root

    def _num_missing(self, sequence: Sequence, *, num_more: int = 0) -> int:
        num_tokens = len(sequence.token_ids) + num_more
        num_wanted = -(-num_tokens // self._config.tokens_per_block)
        return num_wanted - len(sequence.blocks)

    def _lend_missing(self, sequence: Sequence, *, num_more: int = 0) -> None:
        for _ in range(self._num_missing(sequence, num_more=num_more)):
            last = sequence.blocks[-1] if sequence.blocks else None
            sequence.blocks.append(self._pool.allocate(after=last))

    def _release(self, sequence: Sequence) -> None:
        """Give a sequence's blocks back, the last first: beginnings are worth keeping longest."""
        for block in reversed(sequence.blocks):
            self._pool.release(block)
        sequence.blocks = []
        sequence.num_computed = 0


def share_budget(reading: list[Sequence], budget: int) -> list[Chunk]:
    """Divide a step's prompt tokens among those who read their prompts.

    Short rests go first, so that a short prompt need not wait for a long one; half of the budget is
    kept for the oldest, so that no stream of short prompts can hold up a long one for ever.

    Args:
        reading: oldest first.
        budget: how many tokens may be taken; more than 1.
    """
    if not reading:
        return []
    oldest = reading[0]
    kept = min(oldest.num_pending, max(1, budget // 2))
    left = budget - kept
    shares = {id(oldest): kept}
    for sequence in sorted(reading, key=lambda sequence: sequence.num_pending):
        more = min(left, sequence.num_pending - shares.get(id(sequence), 0))
        shares[id(sequence)] = shares.get(id(sequence), 0) + more
        left -= more
    return [_chunk(sequence, shares[id(sequence)]) for sequence in reading if shares[id(sequence)]]


def _chunk(sequence: Sequence, num_tokens: int) -> Chunk:
    return Chunk(sequence, sequence.num_computed, sequence.num_computed + num_tokens)
