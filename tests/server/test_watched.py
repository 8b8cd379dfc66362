"""A watched service: counted, timed, and ended when nothing comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from myna.core.echo import EchoService
from myna.core.events import Accepted, Event, Failed, Finished
from myna.core.messages import text_message
from myna.core.requests import ChatInput, Request, RequestId, Speech
from myna.server.metrics import Metrics
from myna.server.settings import ServerSettings
from myna.server.watched import WatchedService


class Stuck(EchoService):
    """Stop after some events."""

    def __init__(self, num_events: int) -> None:
        super().__init__()
        self.num_left = num_events

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        async with aclosing(super().generate(request)) as events:
            async for event in events:
                if not self.num_left:
                    await asyncio.sleep(60)
                self.num_left -= 1
                yield event


def chat(text: str, *, num_choices: int = 1, speech: Speech | None = None) -> Request:
    turns = (text_message("user", text),)
    return Request(
        id=RequestId("r"),
        input=ChatInput(messages=turns),
        num_choices=num_choices,
        speech=speech,
    )


async def collect(service: WatchedService, request: Request) -> list[Event]:
    return [event async for event in service.generate(request)]


async def test_an_answer_is_counted_and_timed() -> None:
    metrics = Metrics()
    service = WatchedService(EchoService(), metrics, ServerSettings())
    events = await collect(service, chat("a b c", num_choices=2, speech=Speech()))
    assert sum(isinstance(event, Finished) for event in events) == 2
    assert metrics.requests == {"stop": 1}
    assert metrics.tokens["prompt_tokens"] == 3
    assert metrics.tokens["generation_tokens"] == metrics.tokens["audio_tokens"] == 6
    assert sum(metrics.time_to_first_token.counts) == 1
    assert sum(metrics.inter_token_latency.counts) == 4
    assert sum(metrics.time_to_first_audio.counts) == 1
    assert sum(metrics.audio_realtime_factor.counts) == 1


async def test_failures_and_hang_ups_are_told_apart() -> None:
    metrics, echo = Metrics(), EchoService()
    service = WatchedService(echo, metrics, ServerSettings())
    await collect(service, chat("/refuse no"))
    async with aclosing(service.generate(chat("a b"))) as events:  # type: ignore[type-var]
        await anext(events)
    assert metrics.requests == {"failed": 1, "cancelled": 1}
    assert (echo.num_running, echo.num_cancelled) == (0, 1)


@pytest.mark.parametrize(("num_events", "what"), [(0, "began"), (1, "began"), (2, "went on")])
async def test_what_does_not_move_is_given_up(num_events: int, what: str) -> None:
    stuck, metrics = Stuck(num_events), Metrics()
    limits = ServerSettings(first_output_s=0.03, gap_s=0.03)
    events = await collect(WatchedService(stuck, metrics, limits), chat("a b"))
    assert isinstance(events[-1], Failed)
    assert f"nothing {what} for 0.03 s" in events[-1].error.message
    assert (events[-1].error.status, events[-1].error.code) == (504, "no_progress")
    assert isinstance(events[0], Accepted) == (num_events > 0)
    assert (stuck.num_running, metrics.requests) == (0, {"failed": 1})


async def test_all_else_is_passed_on() -> None:
    echo = EchoService()
    service = WatchedService(echo, Metrics(), ServerSettings())
    assert await service.models() == (echo.card,)
    assert await service.tokenize("a b") == await echo.tokenize("a b")
    assert await service.detokenize((1, 2)) == "1 2"
    assert await service.render(ChatInput(messages=(text_message("user", "a"),))) == "user: a\n"
    await service.close()
    assert not (await service.health()).ready
