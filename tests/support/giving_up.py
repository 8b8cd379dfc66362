"""A client that gives up on an answer which is being made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import openai

START_S = 30.0


async def give_up(
    url: str,
    ask: Callable[[openai.AsyncOpenAI], Awaitable[object]],
    is_running: Callable[[], bool],
) -> None:
    """Ask, and hang up once the server is at work on it.

    Args:
        url: of the server.
        ask: sends the request.
        is_running: tells whether the server is.
    """
    async with openai.AsyncOpenAI(base_url=url, api_key="EMPTY", max_retries=0) as client:
        asking = asyncio.ensure_future(ask(client))
        async with asyncio.timeout(START_S):
            while not is_running():
                assert not asking.done(), "the answer came before anybody could give up"
                await asyncio.sleep(0.005)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
