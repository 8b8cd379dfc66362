"""How fast a loaded model reads and writes, by the service's own clocks.

Prompts are random and never repeat, so that nothing is remembered from the last one. Not here:
comparisons with other programs (the benchmarks folder).
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time

import msgspec

from myna.cli.asking import collect, plain_sampling
from myna.core.events import Event, Finished
from myna.core.progress import Progress
from myna.core.requests import TokenInput
from myna.core.service import Service

SEED_TEXT = (
    "The old woman opened the window and looked out at the sea: 3 boats, 14 birds, no cloud. "
    "Der Wind kommt von Westen. Le soleil brille. def main(argv): return len(argv) + 1"
)
SEED = 0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Say how much is to be measured; every number is a count."""

    prompt_tokens: int = 512
    answer_tokens: int = 64
    parallel: int = 1
    repeats: int = 3


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Give a speed: the median of all runs, and each of them."""

    what: str
    tokens_per_s: float
    runs: tuple[float, ...]


async def measure(service: Service, plan: Plan, *, progress: Progress) -> tuple[Speed, ...]:
    """Measure reading, writing, and with `parallel` above 1 writing many answers at once."""
    source = random.Random(SEED)
    words = await service.tokenize(SEED_TEXT)

    def prompt(num_tokens: int) -> TokenInput:
        return TokenInput(token_ids=tuple(source.choices(words, k=num_tokens)))

    read, written, together = [], [], []
    # The first run warms up: threads, allocators, pages of the weights.
    for run in range(plan.repeats + 1):
        progress("measuring", run, plan.repeats + 1)
        finished = await _answer(service, prompt(plan.prompt_tokens), 1)
        read.append(plan.prompt_tokens / finished.timings.prefill_s)
        finished = await _answer(service, prompt(16), plan.answer_tokens)
        written.append((plan.answer_tokens - 1) / finished.timings.decode_s)
        if plan.parallel > 1:
            started_s = time.perf_counter()
            prompts = [prompt(16) for _ in range(plan.parallel)]
            await asyncio.gather(*(_answer(service, each, plan.answer_tokens) for each in prompts))
            duration_s = time.perf_counter() - started_s
            together.append(plan.parallel * plan.answer_tokens / duration_s)
    progress("measuring", plan.repeats + 1, plan.repeats + 1)
    speeds = {f"reading {plan.prompt_tokens} tokens": read, "writing": written}
    if together:
        speeds[f"writing {plan.parallel} at once, in all"] = together
    return tuple(
        Speed(
            what=what,
            tokens_per_s=round(statistics.median(runs[1:]), 2),
            runs=tuple(round(run, 2) for run in runs[1:]),
        )
        for what, runs in speeds.items()
    )


async def _answer(service: Service, prompt: TokenInput, num_tokens: int) -> Finished:
    events: list[Event] = await collect(
        service, prompt, plain_sampling(num_tokens, temperature=0.0)
    )
    return next(event for event in events if isinstance(event, Finished))
