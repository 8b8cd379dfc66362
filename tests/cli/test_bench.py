"""`myna bench`: figures from the service's clocks, medians, and what they were measured on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from myna.cli.measure import Plan, measure
from myna.core.errors import InternalError, RemoteError
from myna.core.events import Accepted, Event, Failed, Finished, Timings, Usage
from myna.core.progress import silent
from myna.core.requests import Request, TokenInput
from myna.core.service import Health, ModelCard


class Clock:
    """Take a tenth of a second to read and a tenth for each token after the first."""

    def __init__(self) -> None:
        self.prompts: list[tuple[int, ...]] = []
        self.num_open = self.most_open = 0
        self.is_closed = False
        self.fails = False

    async def models(self) -> tuple[ModelCard, ...]:
        return (ModelCard(id="clock", family="none", context_length=1, created_s=0),)

    async def tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(range(20))

    async def health(self) -> Health:
        return Health(ready=True)

    async def close(self) -> None:
        self.is_closed = True

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        assert isinstance(request.input, TokenInput)
        assert request.sampling.ignore_eos
        self.prompts.append(request.input.token_ids)
        self.num_open += 1
        self.most_open = max(self.most_open, self.num_open)
        yield Accepted(prompt_tokens=len(request.input.token_ids))
        if self.fails:
            yield Failed(error=InternalError("it fell over").info())
            return
        num_tokens = request.sampling.max_tokens or 0
        yield Finished(
            index=0,
            reason="length",
            usage=Usage(prompt_tokens=1, completion_tokens=num_tokens),
            timings=Timings(prefill_s=0.1, decode_s=0.1 * (num_tokens - 1)),
        )
        self.num_open -= 1


async def test_speeds_follow_the_clock() -> None:
    clock = Clock()
    plan = Plan(prompt_tokens=50, answer_tokens=11, parallel=3, repeats=2)
    reading, writing, together = await measure(clock, plan, progress=silent)
    assert (reading.what, reading.tokens_per_s) == ("reading 50 tokens", 500.0)
    assert (writing.what, writing.tokens_per_s) == ("writing", 10.0)
    assert together.what == "writing 3 at once, in all"
    assert all(len(each.runs) == 2 for each in (reading, writing, together))
    assert clock.num_open == 0


async def test_no_prompt_is_asked_twice() -> None:
    clock = Clock()
    await measure(clock, Plan(repeats=3, parallel=4), progress=silent)
    assert len(set(clock.prompts)) == len(clock.prompts) == 4 * (2 + 4)


async def test_a_failure_ends_the_measurement() -> None:
    clock = Clock()
    clock.fails = True
    with pytest.raises(RemoteError, match="it fell over"):
        await measure(clock, Plan(), progress=silent)


def test_bench_writes_a_table_and_json(myna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("myna.cli.commands.bench.load_here", lambda *_: clock)
    code, out, _ = myna("bench", "--echo", "--answer-tokens", "11", "--repeats", "1")
    assert code == 0
    assert "10 tokens/s" in out
    assert "peak memory" in out
    assert clock.is_closed
    answer = json.loads(myna("bench", "--echo", "--json")[1])
    assert answer["plan"] == {
        "prompt_tokens": 512,
        "answer_tokens": 64,
        "parallel": 1,
        "repeats": 3,
    }
    assert answer["machine"]["num_usable_cores"] >= 1
    assert answer["peak_memory_bytes"] > 10**6
