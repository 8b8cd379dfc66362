"""`/v1/chat/completions`, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from myna.core.echo import EchoService

Chat = Callable[..., dict[str, Any]]
URL = "/v1/chat/completions"


async def stream(client: httpx.AsyncClient, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.post(URL, json={**body, "stream": True})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *events, end = answer.text.removesuffix("\n\n").split("\n\n")
    assert end == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events]


async def test_a_whole_answer_has_the_form_of_the_specification(
    client: httpx.AsyncClient, chat: Chat
) -> None:
    answer = await client.post(URL, json=chat("hello you"))
    body = answer.json()
    assert body.pop("created") > 0
    assert body.pop("id") == answer.headers["x-request-id"].replace("req_", "chatcmpl-")
    assert body == {
        "object": "chat.completion",
        "model": "echo",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "hello you",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 2,
            "completion_tokens": 2,
            "total_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


async def test_a_stream_has_the_order_of_the_specification(
    client: httpx.AsyncClient, chat: Chat
) -> None:
    chunks = await stream(client, chat("a b", stream_options={"include_usage": True}))
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1
    assert [chunk["choices"] for chunk in chunks] == [
        [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
        for delta, reason in [
            ({"role": "assistant", "content": ""}, None),
            ({"content": "a "}, None),
            ({"content": "b"}, None),
            ({}, "stop"),
        ]
    ] + [[]]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 4
    assert chunks[-1]["usage"]["total_tokens"] == 4


async def test_an_answer_goes_on_with_the_new_part_alone(
    client: httpx.AsyncClient, chat: Chat
) -> None:
    body = chat("hello dear you", continue_final_message=True)
    body["messages"].append({"role": "assistant", "content": "hello "})
    answer = (await client.post(URL, json=body)).json()
    assert answer["choices"][0]["message"]["content"] == "dear you"
    chunks = await stream(client, body)
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == "dear you"


async def test_usage_is_left_out_of_a_stream_that_did_not_ask(
    client: httpx.AsyncClient, chat: Chat
) -> None:
    assert all("usage" not in chunk for chunk in await stream(client, chat("a")))


async def test_reasoning_comes_under_both_names(client: httpx.AsyncClient, chat: Chat) -> None:
    text = "/think so be it\nhi"
    message = (await client.post(URL, json=chat(text))).json()["choices"][0]["message"]
    assert (message["reasoning"], message["content"]) == ("so be it", "hi")
    deltas = [chunk["choices"][0]["delta"] for chunk in await stream(client, chat(text))]
    for key in ("reasoning", "reasoning_content"):
        assert message[key] == "".join(delta.get(key, "") for delta in deltas)


async def test_a_tool_call_arrives_whole(client: httpx.AsyncClient, chat: Chat) -> None:
    answer = await client.post(URL, json=chat('/call look {"at":1}'))
    choice = answer.json()["choices"][0]
    call_id = choice["message"]["tool_calls"][0].pop("id")
    assert call_id.startswith("call_")
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}
    ]
    assert choice["finish_reason"] == "tool_calls"


async def test_a_tool_call_arrives_in_pieces(client: httpx.AsyncClient, chat: Chat) -> None:
    chunks = await stream(client, chat('/call look {"at":1}'))
    first, second = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in chunks[1:-1]]
    assert first.pop("id").startswith("call_")
    assert first == {
        "index": 0,
        "type": "function",
        "function": {"name": "look", "arguments": ""},
    }
    assert second == {"index": 0, "function": {"arguments": '{"at":1}'}}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_logprobs_stand_beside_their_text(client: httpx.AsyncClient, chat: Chat) -> None:
    body = chat("ä", logprobs=True, top_logprobs=1)
    whole = (await client.post(URL, json=body)).json()["choices"][0]["logprobs"]
    token = {"token": "ä", "logprob": -0.5, "bytes": [195, 164]}
    assert whole == {"content": [{**token, "top_logprobs": [token]}], "refusal": None}
    assert (await stream(client, body))[1]["choices"][0]["logprobs"] == whole


async def test_each_choice_has_its_own_index(client: httpx.AsyncClient, chat: Chat) -> None:
    answer = (await client.post(URL, json=chat("a b", n=3))).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert answer["usage"]["completion_tokens"] == 6
    chunks = await stream(client, chat("a", n=2))
    roles = [chunk for chunk in chunks if "role" in chunk["choices"][0]["delta"]]
    assert [chunk["choices"][0]["index"] for chunk in roles] == [0, 1]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_both_names_of_the_greatest_length_work(
    client: httpx.AsyncClient, chat: Chat, field: str
) -> None:
    answer = (await client.post(URL, json=chat("a b c", **{field: 2}))).json()
    assert answer["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_refusal_has_its_status_even_for_a_stream(
    client: httpx.AsyncClient, chat: Chat, is_stream: bool
) -> None:
    answer = await client.post(URL, json=chat("/refuse full up", stream=is_stream))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json()["error"] == {
        "message": "full up",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }


async def test_a_failure_on_the_way_ends_the_stream_with_an_error(
    client: httpx.AsyncClient, chat: Chat
) -> None:
    answer = await client.post(URL, json=chat("hi\n/fail it broke", stream=True))
    *_, last, end = answer.text.split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["message"] == "it broke"
    assert end == ""


async def test_a_failure_on_the_way_is_the_status_of_a_whole_answer(
    client: httpx.AsyncClient, chat: Chat
) -> None:
    answer = await client.post(URL, json=chat("hi\n/fail it broke"))
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, "it broke")


async def test_alternatives_without_logprobs_are_refused(
    client: httpx.AsyncClient, chat: Chat
) -> None:
    answer = await client.post(URL, json=chat("hi", top_logprobs=2))
    assert answer.json()["error"]["message"] == "`top_logprobs` needs `logprobs` to be true."


async def test_streams_leave_nothing_running(
    client: httpx.AsyncClient, chat: Chat, service: EchoService
) -> None:
    await stream(client, chat("a b"))
    assert (service.num_running, service.num_cancelled) == (0, 0)
