"""Several answers at once, read as one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from myna.core.events import Event

MAX_PARALLEL = 32
QUEUE_LENGTH = 64


async def merge(
    streams: Sequence[AsyncGenerator[Event, None]],
) -> AsyncGenerator[tuple[int, Event], None]:
    """Yield the events of all streams as they come, each with its stream's index.

    At most `MAX_PARALLEL` streams run at a time. The first error of one ends all; all are closed in
    any case.
    """
    queue: asyncio.Queue[tuple[int, Event] | BaseException | None] = asyncio.Queue(QUEUE_LENGTH)
    turns = asyncio.Semaphore(MAX_PARALLEL)

    async def copy(index: int) -> None:
        try:
            async with turns, aclosing(streams[index]) as stream:
                async for event in stream:
                    await queue.put((index, event))
        except Exception as error:  # noqa: BLE001 - raised again by the reader of the queue
            await queue.put(error)
        else:
            await queue.put(None)

    tasks = [asyncio.create_task(copy(index)) for index in range(len(streams))]
    num_open = len(tasks)
    try:
        while num_open:
            item = await queue.get()
            if item is None:
                num_open -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
