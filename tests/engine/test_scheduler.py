"""The scheduler against a slow and obvious model of what each slot holds."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from myna.core.requests import RequestId
from myna.engine.batch import Chunk
from myna.engine.block_pool import BlockPool
from myna.engine.config import EngineConfig
from myna.engine.prefix_cache import Marks
from myna.engine.scheduler import Scheduler, share_budget
from myna.engine.sequence import EngineRequest, Sequence, Status

NUM_RANDOM_STEPS = 20_000
TOKENS_PER_BLOCK, NUM_BLOCKS = 3, 9
LONGEST = TOKENS_PER_BLOCK * NUM_BLOCKS
NUM_LETTERS = 2  # so few different tokens that equal beginnings are the rule


def make_sequence(
    arrival: int,
    token_ids: tuple[int, ...],
    tenant: bytes = b"",
    marks: Marks = (),
    max_cached: int | None = None,
) -> Sequence:
    request = EngineRequest(
        id=RequestId(str(arrival)),
        token_ids=token_ids,
        cache_labels=(("tenant", tenant),),
        marks=tuple(marks),
        max_cached=max_cached,
    )
    return Sequence(request, 0, seed=0, arrival=arrival)


class World:
    """A scheduler, its pool, and for each slot the history that its keys and values stand for."""

    def __init__(self, **changes: object) -> None:
        self.config = EngineConfig(
            **{
                "max_context": LONGEST,
                "num_kv_tokens": LONGEST,
                "tokens_per_block": TOKENS_PER_BLOCK,
                "max_running": 4,
                "max_step_tokens": 12,
                "prefill_chunk_tokens": 6,
                **changes,
            }
        )
        self.pool = BlockPool(NUM_BLOCKS, self.on_freed)
        self.scheduler = Scheduler(self.config, self.pool)
        self.content: dict[int, tuple[object, ...]] = {}
        self.open: list[Sequence] = []
        self.num_arrived = 0
        self.num_cached = 0
        self.num_right = 0

    def on_freed(self, block: int) -> None:
        for offset in range(TOKENS_PER_BLOCK):
            self.content.pop(block * TOKENS_PER_BLOCK + offset, None)

    def slot(self, sequence: Sequence, position: int) -> int:
        block = sequence.blocks[position // TOKENS_PER_BLOCK]
        return block * TOKENS_PER_BLOCK + position % TOKENS_PER_BLOCK

    def history(self, chunk: Chunk, position: int) -> tuple[object, ...]:
        tokens = [*chunk.sequence.token_ids, *chunk.guesses]
        request = chunk.sequence.request
        begun = [mark for mark in request.marks if mark[0] <= position]
        return (request.cache_labels, *begun, *tokens[: position + 1])

    def add(
        self,
        token_ids: tuple[int, ...],
        tenant: bytes,
        marks: Marks = (),
        max_cached: int | None = None,
    ) -> None:
        sequence = make_sequence(self.num_arrived, token_ids, tenant, marks, max_cached)
        sequence.max_total = LONGEST
        self.num_arrived += 1
        self.open.append(sequence)
        self.scheduler.add(sequence)

    def remove(self, pick: int) -> None:
        if self.open:
            self.scheduler.remove(self.open.pop(pick % len(self.open)))

    def preempt(self, pick: int) -> None:
        if self.scheduler.running:
            self.scheduler.preempt(self.scheduler.running[pick % len(self.scheduler.running)])

    def step(self, letter: int) -> None:
        was_waiting = bool(self.open)
        chunks = self.scheduler.next_chunks()
        self.num_cached += sum(chunk.sequence.num_cached for chunk in chunks)
        assert bool(chunks) == was_waiting, "somebody waits and nobody runs"
        deciding = [chunk for chunk in chunks if chunk.sequence.num_pending == 1]
        num_read = sum(chunk.stop - chunk.start for chunk in chunks) - len(deciding)
        assert num_read <= (6 if deciding else 12) or self.config.is_deterministic
        for chunk in chunks:
            sequence = chunk.sequence
            max_cached = sequence.request.max_cached
            assert max_cached is None or sequence.num_cached <= max_cached
            assert chunk.start == sequence.num_computed < chunk.stop <= len(sequence.token_ids)
            assert chunk.end <= sequence.max_total
            for position in range(chunk.start, chunk.end):
                slot = self.slot(sequence, position)
                assert self.pool.num_holders(slot // TOKENS_PER_BLOCK) == 1, "others would see this"
                self.content[slot] = self.history(chunk, position)
            for position in range(chunk.end):
                slot = self.slot(sequence, position)
                assert self.content[slot] == self.history(chunk, position), "a foreign past"
        for chunk in chunks:
            is_last, sequence = chunk.is_last, chunk.sequence
            right = chunk.guesses[: letter * 2]
            self.num_right += len(right)
            for guess in right:
                sequence.append(guess)
            if is_last and len(sequence.token_ids) < LONGEST:
                sequence.append(letter)
                is_last = False
            self.scheduler.advance(chunk, num_right=len(right))
            if is_last:
                self.open.remove(sequence)
                self.scheduler.remove(sequence)

    def check(self) -> None:
        self.pool.check_integrity()
        pool, scheduler = self.pool, self.scheduler
        assert pool.num_free + pool.num_cached + pool.num_used == NUM_BLOCKS
        held = Counter(block for sequence in scheduler.running for block in sequence.blocks)
        assert [held[block] for block in range(NUM_BLOCKS)] == [
            pool.num_holders(block) for block in range(NUM_BLOCKS)
        ]
        for queue, status in (
            (scheduler.running, Status.RUNNING),
            (scheduler.waiting, Status.WAITING),
        ):
            assert queue == sorted(queue, key=lambda sequence: sequence.priority)
            assert all(sequence.status is status for sequence in queue)
        assert all(not sequence.blocks for sequence in scheduler.waiting)
        assert len(scheduler.running) <= 4
        assert sorted(map(id, scheduler.running + scheduler.waiting)) == sorted(map(id, self.open))

    def drain(self) -> None:
        for _ in range(100 * LONGEST):
            if not self.open:
                break
            self.step(0)
            self.check()
        assert not self.open, "somebody is never served"
        assert self.pool.num_used == 0


def random_walk(world: World, *, seed: int, num_steps: int) -> None:
    rng = random.Random(seed)
    for _ in range(num_steps):
        action = rng.random()
        if action < 0.15 and len(world.open) < 12:
            length = rng.randint(1, LONGEST - 1)
            token_ids = tuple(rng.randrange(NUM_LETTERS) for _ in range(length))
            rows = sorted(rng.sample(range(length), rng.randrange(min(3, length))))
            marks = [(row, rng.choice([b"cat", b"dog"])) for row in rows]
            max_cached = rng.choice([None, None, rng.randrange(length)])
            world.add(token_ids, rng.choice([b"", b"", b"x"]), marks, max_cached)
        elif action < 0.2:
            world.remove(rng.randrange(12))
        elif action < 0.3:
            world.preempt(rng.randrange(4))
        elif world.open:
            world.step(rng.randrange(NUM_LETTERS))
        world.check()
    world.drain()


def test_invariants_hold_through_random_steps():
    world = World()
    random_walk(world, seed=0, num_steps=NUM_RANDOM_STEPS)
    assert min(world.scheduler.num_preemptions, world.num_cached) > 1000, "too tame to prove much"


def test_invariants_hold_in_deterministic_mode_and_without_sharing():
    random_walk(World(is_deterministic=True), seed=1, num_steps=NUM_RANDOM_STEPS // 10)
    random_walk(World(prefix_caching=False), seed=2, num_steps=NUM_RANDOM_STEPS // 10)


def test_invariants_hold_while_guesses_are_checked():
    world = World(max_guesses=4)
    random_walk(world, seed=3, num_steps=NUM_RANDOM_STEPS // 4)
    assert world.num_right > 100


class SchedulerMachine(RuleBasedStateMachine):
    """Let hypothesis look for a short story that breaks an invariant."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(
        token_ids=st.lists(st.integers(0, NUM_LETTERS - 1), min_size=1, max_size=LONGEST - 1),
        tenant=st.sampled_from([b"", b"x"]),
        marks=st.dictionaries(
            st.integers(0, LONGEST), st.sampled_from([b"cat", b"dog"]), max_size=2
        ),
        max_cached=st.none() | st.integers(0, LONGEST),
    )
    def add(
        self,
        token_ids: list[int],
        tenant: bytes,
        marks: dict[int, bytes],
        max_cached: int | None,
    ) -> None:
        self.world.add(tuple(token_ids), tenant, sorted(marks.items()), max_cached)

    @rule(pick=st.integers(0, 20))
    def remove(self, pick: int) -> None:
        self.world.remove(pick)

    @rule(pick=st.integers(0, 3))
    def preempt(self, pick: int) -> None:
        self.world.preempt(pick)

    @rule(letter=st.integers(0, NUM_LETTERS - 1))
    def step(self, letter: int) -> None:
        if self.world.open:
            self.world.step(letter)

    @invariant()
    def holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.drain()


TestSchedulerStories = SchedulerMachine.TestCase
TestSchedulerStories.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, derandomize=True
)


def running(*lengths: int) -> list[Sequence]:
    return [make_sequence(idx, (0,) * length) for idx, length in enumerate(lengths)]


def test_a_short_prompt_passes_a_long_one_that_still_moves():
    shares = [chunk.num_tokens for chunk in share_budget(running(100, 4), 16)]
    assert shares == [12, 4]


def test_half_of_the_budget_is_kept_for_the_oldest():
    shares = {
        chunk.sequence.priority[0]: chunk.num_tokens
        for chunk in share_budget(running(100, 6, 7, 8), 16)
    }
    assert shares == {0: 8, 1: 6, 2: 2}


def test_an_oldest_that_needs_little_leaves_the_rest():
    assert [chunk.num_tokens for chunk in share_budget(running(3, 100), 16)] == [3, 13]


def test_waiting_answers_get_their_token_before_prompts_are_read():
    world = World()
    world.add((0,), b"")
    world.step(1)
    world.add((0,) * 20, b"")
    chunks = world.scheduler.next_chunks()
    assert [(chunk.sequence.priority[0], chunk.num_tokens) for chunk in chunks] == [(0, 1), (1, 6)]


def test_the_youngest_gives_up_its_blocks_first():
    world = World(prefix_caching=False)
    for _ in range(3):
        world.add((0,) * 6, b"")
    for _ in range(5):
        world.step(1)
        if world.scheduler.num_preemptions:
            break
    assert [sequence.priority[0] for sequence in world.scheduler.running] == [0, 1]
    assert world.scheduler.waiting[0].priority[0] == 2


def test_two_tenants_share_nothing():
    world = World()
    for tenant in (b"x", b"y"):
        world.add((0,) * 7, tenant)
        world.step(0)
    assert world.open[1].num_cached == 0


def test_equal_beginnings_share_blocks():
    world = World()
    for _ in range(2):
        world.add((0,) * 7, b"")
        world.step(0)
    assert world.open[1].num_cached == 6
    assert world.open[1].blocks[:2] == world.open[0].blocks[:2]


def test_distrusted_blocks_are_not_shared():
    world = World()
    world.add((0,) * 7, b"")
    world.step(0)
    world.scheduler.distrust(world.open[0])
    world.add((0,) * 7, b"")
    world.step(0)
    assert world.open[1].num_cached == 0
