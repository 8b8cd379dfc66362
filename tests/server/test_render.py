"""Events become answers, whatever the service does."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator

import msgspec
import pytest

from myna.core.echo import EchoService
from myna.core.errors import InternalError, Overloaded, RemoteError
from myna.core.events import (
    Accepted,
    AudioDelta,
    Event,
    Failed,
    Finished,
    TextDelta,
    TokenLogprob,
    Usage,
)
from myna.core.messages import text_message
from myna.core.requests import ChatInput, Request, RequestId, Speech
from myna.server.render import (
    Heading,
    chat_chunks,
    chat_logprobs,
    events_of,
    usage_object,
    whole_chat,
)
from myna.server.speech import Spoken

REQUEST = Request(
    id=RequestId("req_1"), input=ChatInput(messages=(text_message("user", "a b"),)), num_choices=2
)
HEADING = Heading(id="chatcmpl-1", model="m", num_choices=2)


class Script(EchoService):
    """Answer with given events, from an iterator that cannot be closed."""

    def __init__(self, *events: Event) -> None:
        super().__init__()
        self.events = events

    def generate(self, request: Request) -> AsyncIterator[Event]:
        return PlainIterator(self.events)


class PlainIterator:
    """Iterate and nothing else."""

    def __init__(self, events: tuple[Event, ...]) -> None:
        self.events = iter(events)

    def __aiter__(self) -> PlainIterator:
        return self

    async def __anext__(self) -> Event:
        for event in self.events:
            return event
        raise StopAsyncIteration


async def test_a_failure_is_raised_as_it_was_reported() -> None:
    failed = Failed(error=Overloaded("full", retry_after_s=2.0).info())
    with pytest.raises(RemoteError) as error:
        async for _ in events_of(Script(failed), REQUEST):
            pass
    assert error.value.info() == failed.error


async def test_an_answer_without_its_end_is_a_fault() -> None:
    end = Finished(index=0, reason="stop", usage=Usage(prompt_tokens=1, completion_tokens=1))
    with pytest.raises(InternalError, match=r"The service ended with 1 choices unfinished"):
        async for _ in events_of(Script(Accepted(prompt_tokens=1), end), REQUEST):
            pass


async def test_leaving_chunks_early_closes_the_service_stream() -> None:
    service = EchoService()
    chunks = chat_chunks(HEADING, events_of(service, REQUEST))
    assert json.loads(await anext(chunks))["choices"][0]["delta"]["role"] == "assistant"
    assert service.num_running == 1
    await chunks.aclose()
    assert (service.num_running, service.num_cancelled) == (0, 1)


def test_a_prompt_counts_once_and_its_choices_each() -> None:
    one = Usage(prompt_tokens=5, completion_tokens=2, cached_tokens=4, reasoning_tokens=1)
    usage = usage_object([[one, one], [one]])
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (10, 6, 16)
    assert usage.prompt_tokens_details.cached_tokens == 8
    assert usage.completion_tokens_details.reasoning_tokens == 3


def test_impossible_tokens_have_a_finite_logprob() -> None:
    never = TokenLogprob(token_id=1, token="a", token_bytes=b"a", logprob=-math.inf)
    assert chat_logprobs([never]).content[0].logprob == -9999.0


SOUNDS = tuple(
    AudioDelta(index=0, pcm=b"11", rate_hz=24_000, realtime_factor=factor)
    for factor in (None, 1.25, None, 0.5)
)
SPOKEN = Heading(id="chatcmpl-1", model="m", spoken=Spoken(speech=Speech(), format="pcm16"))


async def test_a_spoken_answer_tells_how_fast_it_was_made() -> None:
    end = Finished(index=0, reason="stop", usage=Usage(prompt_tokens=1, completion_tokens=1))
    script = Script(TextDelta(index=0, text="a"), *SOUNDS, end)
    request = msgspec.structs.replace(REQUEST, num_choices=1)
    chunks = [json.loads(chunk) async for chunk in chat_chunks(SPOKEN, events_of(script, request))]
    factors = [chunk.get("myna", {}).get("realtime_factor") for chunk in chunks]
    assert factors == [None, None, 1.25, 1.25, 0.5, 0.5, 0.5]
    whole = json.loads(await whole_chat(SPOKEN, events_of(script, request)))
    assert whole["myna"] == {"realtime_factor": 0.5}
