"""Bodies become wire models, or errors that name the field."""

from __future__ import annotations

import msgspec
import pytest

from myna.core.errors import InvalidRequest
from myna.server.schemas.chat import ChatRequest
from myna.server.schemas.parse import parse
from myna.server.settings import Limits

DECODER = msgspec.json.Decoder(ChatRequest)
MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'


def parse_chat(body: bytes) -> ChatRequest:
    return parse(body, DECODER, limits=Limits(max_depth=8, max_values=50))


def test_unknown_fields_are_ignored() -> None:
    wire = parse_chat(b"{" + MESSAGES + b',"surprise":[1,{"a":2}]}')
    assert wire.messages[0].content == "hi"


def test_nested_extra_fields_count_as_fields() -> None:
    wire = parse_chat(b"{" + MESSAGES + b',"top_k":1,"extra_body":{"top_k":2,"min_p":0.5}}')
    assert (wire.top_k, wire.min_p) == (1, 0.5)


def test_extra_body_may_be_null_or_a_word_in_a_text() -> None:
    assert parse_chat(b"{" + MESSAGES + b',"extra_body":null}').top_k is None
    wire = parse_chat(b'{"messages":[{"role":"user","content":"say \\"extra_body\\""}]}')
    assert wire.messages[0].content == 'say "extra_body"'


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        (b"{}", "`messages` is missing; it is required.", "messages", "missing_required_parameter"),
        (
            b'{"messages":[{}]}',
            "`messages[0].role` is missing; it is required.",
            "messages[0].role",
            "missing_required_parameter",
        ),
        (
            b"{" + MESSAGES + b',"top_p":"x"}',
            "Invalid `top_p`: expected `float | null`, got `str`.",
            "top_p",
            "invalid_type",
        ),
        (
            b"{" + MESSAGES + b',"temperature":3}',
            "Invalid `temperature`: expected `float` <= 2.0.",
            "temperature",
            "invalid_value",
        ),
        (
            b"{" + MESSAGES + b',"extra_body":{"top_k":"x"}}',
            "Invalid `top_k`: expected `int | null`, got `str`.",
            "top_k",
            "invalid_type",
        ),
        (b"[]", "The body: expected `object`, got `array`.", None, "invalid_type"),
        (b"", "The body is not valid JSON: Input data was truncated.", None, "invalid_json"),
        (
            b'{"a":[[[[[[[[1]]]]]]]]}',
            "The JSON nests deeper than 8 levels; flatten it.",
            None,
            "json_too_deep",
        ),
        (
            b'{"a":[' + b"0," * 49 + b"0]}",
            "The JSON holds up to 51 values; at most 50 are taken.",
            None,
            "json_too_large",
        ),
    ],
)
def test_errors_name_the_field(body: bytes, message: str, param: str | None, code: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        parse_chat(body)
    assert (error.value.message, error.value.param, error.value.code) == (message, param, code)


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[{"role":"user","content":"\xff"}]}',
        b"\xff",
        b'{"a":NaN}',
        b'"\\ud800"',
        b"{" + MESSAGES + b"} {}",
        b'{"a":1e}',
    ],
)
def test_what_is_not_json_is_said_to_be_so(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"The body is not valid JSON|The body: expected"):
        parse_chat(body)
