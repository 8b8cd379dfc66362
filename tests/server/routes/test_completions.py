"""`/v1/completions`, with what evaluation harnesses read from it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

URL = "/v1/completions"


async def post(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post(URL, json={"model": "echo", **body})
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def test_a_whole_answer_has_the_form_of_the_specification(client: httpx.AsyncClient) -> None:
    body = await post(client, prompt="one two")
    assert body.pop("created") > 0
    assert body.pop("id").startswith("cmpl-")
    assert body == {
        "object": "text_completion",
        "model": "echo",
        "system_fingerprint": None,
        "choices": [{"index": 0, "text": "one two", "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 2,
            "completion_tokens": 2,
            "total_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


async def test_logprobs_come_in_columns(client: httpx.AsyncClient) -> None:
    body = await post(client, prompt="ä b", echo=True, max_tokens=0, logprobs=1)
    (choice,) = body["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("ä b", "length")
    assert choice["logprobs"] == {
        "text_offset": [0, 2],
        "tokens": ["ä ", "b"],
        "token_logprobs": [None, -0.5],
        "top_logprobs": [None, {"b": -0.5}],
    }


async def test_loglikelihood_harnesses_find_their_columns(client: httpx.AsyncClient) -> None:
    body = await post(client, prompt=["a b c", "d e"], echo=True, max_tokens=1, logprobs=1)
    for choice, length in zip(body["choices"], (3, 2), strict=True):
        logprobs = choice["logprobs"]
        assert {len(column) for column in logprobs.values()} == {length + 1}
        scored = list(zip(logprobs["tokens"], logprobs["top_logprobs"], strict=True))[1:-1]
        assert all(token == max(top, key=top.get) for token, top in scored)


async def test_choices_are_numbered_prompt_by_prompt(client: httpx.AsyncClient) -> None:
    body = await post(client, prompt=["a", "b b"], n=2)
    assert [(choice["index"], choice["text"]) for choice in body["choices"]] == [
        (0, "a"),
        (1, "a"),
        (2, "b b"),
        (3, "b b"),
    ]
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (3, 6)


async def test_token_ids_are_a_prompt(client: httpx.AsyncClient) -> None:
    assert (await post(client, prompt=[5, 6]))["choices"][0]["text"] == "5 6"
    assert len((await post(client, prompt=[[5], [6]]))["choices"]) == 2


async def test_a_stream_adds_up_to_the_whole(client: httpx.AsyncClient) -> None:
    fields = {"prompt": ["a b", "c"], "echo": True, "logprobs": 0, "n": 2}
    whole = await post(client, **fields)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    answer = await client.post(URL, json={"model": "echo", **fields, **options})
    *events, end = answer.text.removesuffix("\n\n").split("\n\n")
    assert end == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert chunks[-1]["usage"] == whole["usage"]
    for choice in whole["choices"]:
        parts = [
            part
            for chunk in chunks
            for part in chunk["choices"]
            if part["index"] == choice["index"]
        ]
        assert "".join(part["text"] for part in parts) == choice["text"]
        assert parts[-1]["finish_reason"] == choice["finish_reason"]
        columns = [part["logprobs"] for part in parts if part["logprobs"]]
        offsets = [offset for column in columns for offset in column["text_offset"]]
        assert offsets == choice["logprobs"]["text_offset"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"suffix": "x"}, "`suffix` is not supported; leave it out."),
        ({"best_of": 3}, "`best_of` is 3 but `n` is 1; only equal values are supported."),
        ({"prompt": ["a"] * 257}, "`prompt` holds 257 prompts; at most 256 are taken at once."),
        ({"prompt": []}, "Invalid `prompt`: expected `array` of length >= 1."),
    ],
)
async def test_what_cannot_be_done_is_refused(
    client: httpx.AsyncClient, fields: dict[str, Any], message: str
) -> None:
    answer = await client.post(URL, json={"model": "echo", "prompt": "a", **fields})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


async def test_one_refused_prompt_refuses_all(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json={"prompt": ["a", "/refuse full"]})
    assert (answer.status_code, answer.json()["error"]["message"]) == (429, "full")
