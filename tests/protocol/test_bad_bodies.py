"""Bodies that are wrong in every field: a typed 400 each, and the next answer is unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest

CHAT, RAW = "/v1/chat/completions", "/v1/completions"
TURNS = [{"role": "user", "content": "hi"}]
SAMPLES: dict[str, list[Any]] = {
    "bool": [True, False],
    "int": [0, 1, -1, 10**30],
    "float": [0.5, -1e308, 1e308],
    "str": ["", "x", "\0", "\u202e", "1"],
    "list": [[], [[]], [1], ["x"], [None]],
    "object": [{}, {"x": 1}],
    "null": [None],
}
# For each field, the types that may be right; values of all others must be refused.
SHARED = {
    "model": "str null",
    "stream": "bool null",
    "stream_options": "object null",
    "n": "int null",
    "temperature": "int float null",
    "top_p": "int float null",
    "top_k": "int null",
    "min_p": "int float null",
    "presence_penalty": "int float null",
    "frequency_penalty": "int float null",
    "repetition_penalty": "int float null",
    "seed": "int null",
    "stop": "str list null",
    "logit_bias": "object null",
    "max_tokens": "int null",
    "min_tokens": "int null",
    "ignore_eos": "bool null",
    "structured_outputs": "object null",
}
CHAT_FIELDS = SHARED | {
    "messages": "list",
    "max_completion_tokens": "int null",
    "logprobs": "bool null",
    "top_logprobs": "int null",
    "response_format": "object null",
    "tools": "list null",
    "tool_choice": "str object null",
    "parallel_tool_calls": "bool null",
    "modalities": "list null",
    "audio": "object null",
    "audio_dialect": "str null",
    "mm_processor_kwargs": "object null",
    "reasoning_effort": "str null",
    "chat_template_kwargs": "object null",
    "enable_thinking": "bool null",
    "thinking_budget": "int null",
    "extra_body": "object null",
}
RAW_FIELDS = SHARED | {
    "prompt": "str list",
    "echo": "bool null",
    "logprobs": "int null",
    "suffix": "str null",
    "best_of": "int null",
}
BOUNDS: list[tuple[str, str, Any]] = [
    (CHAT, "n", 0),
    (CHAT, "n", 9),
    (CHAT, "temperature", -0.1),
    (CHAT, "temperature", 2.1),
    (CHAT, "top_p", 1.1),
    (CHAT, "top_k", -2),
    (CHAT, "min_p", -0.1),
    (CHAT, "presence_penalty", 2.5),
    (CHAT, "frequency_penalty", -2.5),
    (CHAT, "repetition_penalty", 0),
    (CHAT, "seed", 2**63),
    (CHAT, "stop", ["x"] * 17),
    (CHAT, "stop", "x" * 257),
    (CHAT, "stop", [""]),
    (CHAT, "logit_bias", {"1": 101}),
    (CHAT, "logit_bias", {str(token): 1 for token in range(1025)}),
    (CHAT, "max_tokens", -1),
    (CHAT, "max_tokens", 2**31),
    (CHAT, "top_logprobs", 21),
    (CHAT, "messages", []),
    (CHAT, "messages", TURNS * 4097),
    (CHAT, "messages", [{"role": "king", "content": "hi"}]),
    (CHAT, "messages", [{"role": "user", "content": [{"type": "image_url"}]}]),
    (CHAT, "messages", [{"role": "user", "content": [5]}]),
    (CHAT, "messages", [{"role": "tool", "content": "hi"}]),
    (CHAT, "messages", [{"role": "assistant", "tool_calls": [{"id": "x"}]}]),
    (CHAT, "tools", [{"type": "function"}]),
    (CHAT, "tools", [{"type": "web_search"}]),
    (CHAT, "tools", [{"type": "function", "function": {"name": ""}}]),
    (CHAT, "tools", [{"type": "function", "function": {"name": "f", "parameters": 5}}]),
    (CHAT, "tools", [{"type": "function", "function": {"name": "f"}}] * 129),
    (CHAT, "tool_choice", "required"),
    (CHAT, "tool_choice", {"type": "function", "function": {"name": "nobody"}}),
    (CHAT, "response_format", {"type": "sound"}),
    (CHAT, "response_format", {"type": "json_schema", "json_schema": {"schema": 123}}),
    (CHAT, "response_format", {"type": "json_schema"}),
    (CHAT, "response_format", {"type": "json_object", "schema": 123}),
    (CHAT, "modalities", ["text", "smell"]),
    (CHAT, "audio_dialect", "klingon"),
    (CHAT, "mm_processor_kwargs", {"fps": 0}),
    (CHAT, "reasoning_effort", "heroic"),
    (CHAT, "model", "x" * 257),
    (RAW, "prompt", ["a", 1]),
    (RAW, "prompt", [[1], "a"]),
    (RAW, "prompt", [-1]),
    (RAW, "prompt", [2**31]),
    (RAW, "logprobs", 21),
    (RAW, "best_of", 2),
]
BROKEN = [
    b"",
    b" ",
    b"{",
    b"}",
    b"null",
    b"[]",
    b'"text"',
    b"{'messages': []}",
    b'{"messages": [}',
    b'{"messages"',
    b'{"messages": NaN}',
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b'{"messages":[{"role":"user","content":"\xff"}]}',
    b'{"messages":[{"role":"user","content":"\\ud800"}]}',
    b'{"messages":[{"role":"user","content":"\\x"}]}',
    b'{"messages":[{"role":"user","content":"a\nb"}]}',
    b'{"messages":[{"role":"user","content":"a"}]} trailing',
    b'{"messages":[{"role":"user","content":"a"}],}',
    b'{"messages":[{"role":"user","content":"a"}],"seed":01}',
    b'{"messages":[{"role":"user","content":"a"}],"temperature":1e999}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a":' + b"[" * 65 + b"]" * 65 + b"}",
    b'{"messages":[{"role":"user","content":"a"}],"x":' + b"[" * 64 + b"]" * 64 + b"}",
]


def check_refusal(answer: tuple[int, dict[str, str], bytes], *, case: object) -> dict[str, Any]:
    status, headers, body = answer
    assert 400 <= status < 500, (status, body, case)
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"].startswith("req_")
    (error,) = json.loads(body).values()
    assert set(error) == {"message", "type", "param", "code"}, case
    assert isinstance(error["message"], str)
    assert isinstance(error["type"], str)
    return error


@pytest.mark.parametrize(
    ("path", "field", "kinds"),
    [(CHAT, field, kinds) for field, kinds in CHAT_FIELDS.items()]
    + [(RAW, field, kinds) for field, kinds in RAW_FIELDS.items()],
)
def test_a_wrong_type_names_its_field(live: Any, path: str, field: str, kinds: str) -> None:
    before = live.canary()
    required = {"messages": TURNS} if path == CHAT else {"prompt": "hi"}
    for kind in SAMPLES:
        for value in SAMPLES[kind]:
            body = {"model": "echo", **required, field: value}
            answer = live.post(path, body)
            if kind in kinds.split():
                assert answer[0] in (200, 400, 404), (answer, value)
                continue
            error = check_refusal(answer, case=value)
            assert (answer[0], error["param"]) == (400, field), value
            assert error["code"] in ("invalid_type", "invalid_value"), value
    assert live.canary() == before


@pytest.mark.parametrize(("path", "field", "value"), BOUNDS)
def test_a_value_out_of_bounds_is_refused(live: Any, path: str, field: str, value: Any) -> None:
    before = live.canary()
    required = {"messages": TURNS} if path == CHAT else {"prompt": "hi"}
    logprobs = {"logprobs": True} if field == "top_logprobs" else {}
    answer = live.post(path, {"model": "echo", **required, **logprobs, field: value})
    error = check_refusal(answer, case=value)
    assert (answer[0], error["param"].split("[")[0].split(".")[0]) == (400, field)
    assert live.canary() == before


@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("path", [CHAT, RAW])
def test_what_is_no_request_is_refused(live: Any, path: str, body: bytes) -> None:
    before = live.canary()
    answer = live.post(path, body)
    check_refusal(answer, case=body[:50])
    assert answer[0] == 400
    assert live.canary() == before


@pytest.mark.parametrize(
    "text", ["\0", "\u202e\u2066", "\u2028\r\n\r\n: x", "data: [DONE]", "<|im_end|>", "🦜" * 999]
)
def test_odd_text_comes_back_as_it_went_in(live: Any, text: str) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": text}]}
    answer = json.loads(live.post(CHAT, body)[2])
    assert answer["choices"][0]["message"]["content"] == text
    stream = live.post(CHAT, {**body, "stream": True})[2]
    assert stream.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
