"""Several streams, read as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from myna.core.errors import Overloaded
from myna.core.events import Event, TextDelta
from myna.server.merge import MAX_PARALLEL, merge


class Source:
    """Count how many of its streams run, and how many have ended."""

    def __init__(self) -> None:
        self.num_running = 0
        self.max_running = 0
        self.num_ended = 0

    async def stream(
        self, num_words: int, *, error: Exception | None = None
    ) -> AsyncGenerator[Event, None]:
        self.num_running += 1
        self.max_running = max(self.max_running, self.num_running)
        try:
            for word in range(num_words):
                await asyncio.sleep(0)
                yield TextDelta(index=0, text=str(word))
            if error is not None:
                raise error
        finally:
            self.num_running -= 1
            self.num_ended += 1


async def test_all_events_come_in_the_order_of_their_stream() -> None:
    source = Source()
    texts: dict[int, list[str]] = {}
    async for index, event in merge([source.stream(length) for length in (3, 0, 200)]):
        assert isinstance(event, TextDelta)
        texts.setdefault(index, []).append(event.text)
    assert texts == {0: ["0", "1", "2"], 2: [str(word) for word in range(200)]}


async def test_only_so_many_run_at_a_time() -> None:
    source = Source()
    async for _ in merge([source.stream(3) for _ in range(MAX_PARALLEL * 2)]):
        pass
    assert (source.max_running, source.num_ended) == (MAX_PARALLEL, MAX_PARALLEL * 2)


async def test_one_error_ends_all() -> None:
    source = Source()
    streams = [source.stream(10**9), source.stream(2, error=Overloaded("full"))]
    with pytest.raises(Overloaded, match="full"):
        async for _ in merge(streams):
            pass
    assert source.num_running == 0


async def test_closing_early_closes_all() -> None:
    source = Source()
    merged = merge([source.stream(10**9), source.stream(10**9)])
    await anext(merged)
    await merged.aclose()
    assert (source.num_running, source.num_ended) == (0, 2)
