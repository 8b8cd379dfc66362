"""A request gets the same tokens whoever runs beside it and whatever happens to its blocks.

Every answer is compared with that of an engine that runs one request at a time and shares nothing;
half of the requests are greedy, half are drawn with a seed.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

NUM_BATCH_TRIALS, NUM_PREFIX_TRIALS, NUM_PREEMPTION_TRIALS = 500, 200, 300
LARGEST_BATCH = 32
LONGEST_PROMPT, LONGEST_ANSWER = 40, 10


def draw_fields(rng: random.Random) -> dict[str, object]:
    """Draw the sampling of one request; every step of the sampler occurs."""
    fields: dict[str, object] = {"max_tokens": rng.randint(1, LONGEST_ANSWER)}
    if rng.random() < 0.5:
        return fields
    fields |= {"temperature": rng.choice([0.5, 1.0, 1.5]), "seed": rng.randrange(10**6)}
    fields |= rng.choice(
        [
            {},
            {"top_k": 5},
            {"top_p": 0.8, "repetition_penalty": 1.2},
            {"min_p": 0.1, "presence_penalty": 0.5, "logit_bias": {3: 2.0}},
        ]
    )
    return fields


class Trials:
    """Requests with the answers they get alone."""

    def __init__(self, kit, *, seed: int, count: int, common: int = 0, **changes: object) -> None:
        self.kit = kit
        self.changes = changes
        rng = random.Random(seed)
        beginnings = kit.random_prompts(seed, 5, LONGEST_PROMPT)
        tails = kit.random_prompts(seed + 1, count, LONGEST_PROMPT)
        self.decoder = kit.FakeDecoder(dtype=changes.pop("dtype", torch.float32))
        self.requests = {}
        for number, tail in enumerate(tails):
            prompt = (rng.choice(beginnings) if common else []) + tail
            name = str(number)
            self.requests[name] = kit.make_request(name, prompt, **draw_fields(rng))
        alone = self.engine(max_running=1, prefix_caching=False, max_waiting_requests=count)
        self.wanted = self.answers(alone, list(self.requests))

    def engine(self, **changes: object):
        """Build an engine around the same network."""
        return self.kit.make_engine(self.decoder, **self.changes, **changes)

    def answers(self, engine, names, before_step=None) -> dict[str, list[int]]:
        """Run requests together."""
        for name in names:
            engine.add(self.requests[name])
        outputs = self.kit.run_all(engine, before_step)
        assert not any(output.error for output in outputs)
        return {name: self.kit.tokens_of(outputs, name) for name in names}

    def check(self, found: dict[str, list[int]]) -> None:
        """Count the requests that got other tokens; there must be none."""
        different = [name for name, tokens in found.items() if tokens != self.wanted[name]]
        assert not different, f"{len(different)} of {len(found)} answers differ"


class BitTrials(Trials):
    """The same, comparing the bits of the log-probabilities."""

    def answers(self, engine, names, before_step=None) -> dict[str, list[object]]:
        """Run requests together."""
        for name in names:
            request = self.requests[name]
            sampling = replace(request.sampling, logprobs=1)
            engine.add(replace(request, sampling=sampling))
        outputs = self.kit.run_all(engine, before_step)
        return {
            name: [output.token for output in outputs if output.request_id == name]
            for name in names
        }


def test_tokens_do_not_depend_on_the_batch(kit):
    trials = Trials(kit, seed=10, count=NUM_BATCH_TRIALS)
    rng = random.Random(10)
    names = list(trials.requests)
    while names:
        size = rng.randint(2, LARGEST_BATCH)
        part, names = names[:size], names[size:]
        trials.check(trials.answers(trials.engine(), part))


def test_tokens_do_not_depend_on_when_neighbours_come_and_go(kit):
    trials = Trials(kit, seed=20, count=NUM_BATCH_TRIALS // 5)
    rng = random.Random(20)
    engine = trials.engine(max_running=8)
    waiting = list(trials.requests.values())
    outputs = []
    while waiting or engine.has_work():
        while waiting and rng.random() < 0.4:
            engine.add(waiting.pop())
        outputs += engine.step()
        engine.pool.check_integrity()
    trials.check({name: kit.tokens_of(outputs, name) for name in trials.requests})


def test_tokens_do_not_depend_on_a_known_prefix(kit):
    trials = Trials(kit, seed=30, count=NUM_PREFIX_TRIALS, common=1)
    engine = trials.engine(num_kv_tokens=512)
    for name in trials.requests:
        trials.check(trials.answers(engine, [name]))
    assert engine.stats().cached_tokens > NUM_PREFIX_TRIALS


@pytest.mark.parametrize("prefix_caching", [False, True])
def test_tokens_do_not_depend_on_preemption_at_every_step(kit, prefix_caching):
    count = NUM_PREEMPTION_TRIALS // 2
    trials = Trials(kit, seed=40 + prefix_caching, count=count)
    rng = random.Random(40)
    names = list(trials.requests)
    num_preemptions = 0
    while names:
        part, names = names[:6], names[6:]
        engine = trials.engine(prefix_caching=prefix_caching)

        def preempt_one(engine):
            # Sparing the oldest while there are others lets the run end.
            younger = engine.scheduler.running[1:]
            if younger:
                engine.scheduler.preempt(rng.choice(younger))
            elif engine.scheduler.running and rng.random() < 0.5:
                engine.scheduler.preempt(engine.scheduler.running[0])

        trials.check(trials.answers(engine, part, preempt_one))
        num_preemptions += engine.stats().num_preemptions
    assert num_preemptions > count


def test_tokens_do_not_depend_on_a_cache_too_small_for_all(kit):
    trials = Trials(kit, seed=50, count=NUM_PREEMPTION_TRIALS // 6)
    engine = trials.engine(num_kv_tokens=LONGEST_PROMPT + LONGEST_ANSWER + 30)
    trials.check(trials.answers(engine, list(trials.requests)))
    assert engine.stats().num_preemptions > 0


def test_tokens_do_not_depend_on_the_chunks_of_a_prompt(kit):
    trials = Trials(kit, seed=60, count=30)
    for length in (2, 3, 7, 64):
        engine = trials.engine(max_step_tokens=length, prefill_chunk_tokens=length)
        trials.check(trials.answers(engine, list(trials.requests)))


def test_tokens_do_not_depend_on_guesses(kit):
    trials = Trials(kit, seed=80, count=60)
    # Few different tokens repeat themselves soon, and so are guessed well.
    bias = dict.fromkeys(range(4), 30.0)
    for name, request in trials.requests.items():
        sampling = replace(request.sampling, logit_bias=bias, max_tokens=40, logprobs=1)
        trials.requests[name] = replace(request, sampling=sampling)
    alone = trials.engine(max_running=1, prefix_caching=False)
    trials.wanted = trials.answers(alone, list(trials.requests))
    for max_running, num_kv_tokens in ((1, 1024), (4, 256)):
        engine = trials.engine(max_guesses=5, max_running=max_running, num_kv_tokens=num_kv_tokens)
        trials.check(trials.answers(engine, list(trials.requests)))
        stats = engine.stats()
        assert stats.output_tokens == 60 * 40
        assert 100 < stats.rightly_guessed_tokens < stats.guessed_tokens


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_deterministic_mode_not_a_bit_depends_on_anything(kit, dtype):
    trials = BitTrials(kit, seed=70, count=60, common=1, is_deterministic=True, dtype=dtype)
    rng = random.Random(70)
    engine = trials.engine(num_kv_tokens=256)

    def preempt_sometimes(engine):
        if len(engine.scheduler.running) > 1 and rng.random() < 0.2:
            engine.scheduler.preempt(rng.choice(engine.scheduler.running[1:]))

    trials.check(trials.answers(engine, list(trials.requests), preempt_sometimes))
    assert engine.stats().num_preemptions > 0
    assert engine.stats().cached_tokens > 0
