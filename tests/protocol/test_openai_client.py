"""The real `openai` client, over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from giving_up import give_up
from myna.core.echo import EchoService
from myna.server.settings import ServerSettings

LONG = "word " * 1000
CLOCK: Any = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}


@pytest.fixture
def client(live: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=live.url, api_key="EMPTY", max_retries=0) as client:
        yield client


def turn(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["echo"]
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"


def test_a_whole_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=turn("hello you"))
    assert answer.choices[0].message.content == "hello you"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 4
    assert answer._request_id is not None


def test_a_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="echo",
        messages=turn("a b c"),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "a b c"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


def test_the_stream_helper_gathers_the_whole(client: openai.OpenAI) -> None:
    text = '/think so\nhi\n/call clock {"at": 1}'
    with client.chat.completions.stream(
        model="echo", messages=turn(text), tools=[CLOCK], n=2, logprobs=True, top_logprobs=2
    ) as stream:
        final = stream.get_final_completion()
    assert [choice.index for choice in final.choices] == [0, 1]
    for choice in final.choices:
        assert choice.message.content == "hi\n"
        assert choice.message.tool_calls is not None
        assert choice.message.tool_calls[0].function.arguments == '{"at": 1}'
        assert choice.logprobs is not None
        assert choice.logprobs.content is not None
        assert choice.logprobs.content[0].token == "hi\n"


def test_a_required_tool_is_called(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="echo",
        messages=turn("what time is it"),
        tools=[CLOCK],
        tool_choice={"type": "function", "function": {"name": "clock"}},
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    call = answer.choices[0].message.tool_calls[0]
    history = [
        *turn("what time is it"),
        answer.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": "noon"},
        *turn("thanks"),
    ]
    again = client.chat.completions.create(model="echo", messages=history)
    assert again.choices[0].message.content == "thanks"


def test_extra_fields_are_taken_flat_and_nested(client: openai.OpenAI) -> None:
    for extra in ({"top_k": 5}, {"extra_body": {"top_k": 5}}):
        answer = client.chat.completions.create(model="echo", messages=turn("hi"), extra_body=extra)
        assert answer.choices[0].message.content == "hi"
    with pytest.raises(openai.BadRequestError, match="top_k"):
        client.chat.completions.create(
            model="echo", messages=turn("hi"), extra_body={"top_k": "five"}
        )


def test_raw_completions_with_logprobs(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="echo", prompt=["a b", "c"], echo=True, logprobs=2, max_tokens=0
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens == ["a ", "b"]
    chunks = client.completions.create(model="echo", prompt="a b", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "a b"


@pytest.mark.parametrize(
    ("text", "fields", "error", "status"),
    [
        ("hi", {"model": "other"}, openai.NotFoundError, 404),
        ("hi", {"temperature": 9}, openai.BadRequestError, 400),
        ("/refuse full", {}, openai.RateLimitError, 429),
        ("/fail broke", {}, openai.InternalServerError, 500),
    ],
)
def test_errors_are_those_of_the_client(
    client: openai.OpenAI,
    text: str,
    fields: dict[str, Any],
    error: type[openai.APIStatusError],
    status: int,
) -> None:
    arguments = {"model": "echo", "messages": turn(text), **fields}
    with pytest.raises(error) as raised:
        client.chat.completions.create(**arguments)
    assert raised.value.status_code == status
    assert raised.value.request_id is not None
    assert raised.value.code is not None


def test_an_error_on_the_way_is_raised_by_the_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="echo", messages=turn("hi\n/fail it broke"), stream=True
    )
    with pytest.raises(openai.APIError, match="it broke"):
        list(stream)


def test_a_missing_key_is_an_authentication_error(serve: Any) -> None:
    with (
        serve(EchoService(), ServerSettings(api_keys=("right",))) as live,
        openai.OpenAI(base_url=live.url, api_key="right") as client,
    ):
        assert len(client.models.list().data) == 1
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key provided"):
            client.with_options(api_key="wrong").models.list()


def test_leaving_a_stream_frees_it_within_a_step(slow: Any) -> None:
    num_cancelled = slow.service.num_cancelled
    with (
        openai.OpenAI(base_url=slow.url, api_key="EMPTY") as client,
        client.chat.completions.create(model="echo", messages=turn(LONG), stream=True) as stream,
    ):
        next(stream)
        next(stream)
    slow.wait_idle()
    assert slow.service.num_cancelled == num_cancelled + 1


def test_giving_up_a_whole_chat_frees_it_within_a_step(slow: Any) -> None:
    num_cancelled = slow.service.num_cancelled

    async def ask(client: openai.AsyncOpenAI) -> None:
        await client.chat.completions.create(model="echo", messages=turn(LONG))

    asyncio.run(give_up(slow.url, ask, lambda: slow.service.num_running == 1))
    slow.wait_idle()
    assert slow.service.num_cancelled == num_cancelled + 1


def test_giving_up_several_prompts_frees_all_within_a_step(slow: Any) -> None:
    num_cancelled = slow.service.num_cancelled

    async def ask(client: openai.AsyncOpenAI) -> None:
        await client.completions.create(model="echo", prompt=[LONG] * 4, max_tokens=1000)

    asyncio.run(give_up(slow.url, ask, lambda: slow.service.num_running == 4))
    slow.wait_idle()
    assert slow.service.num_cancelled == num_cancelled + 4


def test_pings_do_not_disturb_the_client(slow: Any) -> None:
    with openai.OpenAI(base_url=slow.url, api_key="EMPTY") as client:
        stream = client.chat.completions.create(model="echo", messages=turn("a b"), stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "a b"
