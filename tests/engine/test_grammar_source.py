"""A constraint is charged for before anything is compiled, and loses what binds nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from myna.core.errors import InvalidRequest
from myna.core.messages import Tool
from myna.core.requests import Constraint
from myna.engine.grammar_source import (
    MAX_COUNT,
    WHITESPACE,
    constraint_source,
    read_schema,
    tool_call_source,
)


def refusal_of(schema: object) -> str:
    source = schema if isinstance(schema, str) else json.dumps(schema)
    with pytest.raises(InvalidRequest) as caught:
        read_schema(source, param="response_format")
    assert caught.value.param == "response_format"
    return caught.value.message


def tidied(schema: object) -> Any:
    return read_schema(json.dumps(schema), param="response_format")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "not valid JSON"),
        ('{"minimum": NaN}', "NaN is not a JSON value"),
        ('{"minimum": 1e999}', "1e999 is beyond the range of numbers"),
        (f'{{"minimum": {"9" * 5000}}}', "not valid JSON"),
        (123, "the schema is 123 but must be an object"),
        ([{}], "must be an object"),
        ({"enum": ["x" * 70_000]}, "takes 70014 bytes but 65536 are allowed"),
        ('{"items":' * 33 + "{}" + "}" * 33, "nested 34 deep but 32 are allowed"),
        ("[" * 30_000, "nested 30000 deep"),
        ({"enum": list(range(4097))}, "lists 4097 enum values but 4096 are allowed"),
        (
            {"anyOf": [{"enum": list(range(4000))}, {"enum": list(range(97))}]},
            "lists 4097 enum values",
        ),
        ({"$ref": "https://example.com/a"}, "$ref is 'https://example.com/a' but only"),
        ({"items": {"$ref": "file:///etc/passwd"}}, "$ref is 'file:///etc/passwd'"),
        ({"minItems": 10**9}, "minItems is 1000000000 but no answer reaches it"),
        ({"properties": {"a": {"minLength": 2**63}}}, "minLength is 9223372036854775808"),
        ({"pattern": "a" * 3000}, "a pattern takes 3000 bytes but 2048 are allowed"),
        ({"patternProperties": {"b" * 3000: {}}}, "a pattern takes 3000 bytes"),
    ],
)
def test_a_schema_above_a_limit_is_refused_by_name(schema: object, message: str) -> None:
    assert message in refusal_of(schema)


def test_brackets_inside_strings_are_not_depth() -> None:
    schema = {"const": '[{"\\' * 100}
    assert tidied(schema) == schema


def test_the_name_of_a_property_is_never_taken_for_a_keyword() -> None:
    schema = {
        "properties": {"$ref": {"const": "http://x"}, "minItems": {"type": "string"}},
        "enum": [{"$ref": "http://x", "minItems": 10**9, "format": "odd"}],
    }
    assert tidied(schema) == schema


def test_what_binds_nothing_is_dropped_at_any_depth() -> None:
    odd = {"format": "uuid4", "uniqueItems": False, "maxLength": MAX_COUNT + 1}
    kept = {"format": "date", "maxLength": 3}
    schema = {"items": [odd, {"not": {**odd, "x-guidance": {"lenient": True}}}, kept]}
    assert tidied(schema) == {"items": [{}, {"not": {}}, kept]}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"exclusiveMinimum": 21, "maximum": 21.5}, {"minimum": 21 + 2**-11, "maximum": 21.5}),
        ({"exclusiveMaximum": 0, "minimum": -0.5}, {"maximum": -(2**-11), "minimum": -0.5}),
        ({"exclusiveMinimum": 0, "minimum": 0.2, "maximum": 0.5}, {"minimum": 0.2, "maximum": 0.5}),
    ],
)
def test_a_sharp_exclusive_bound_moves_inside(given: object, kept: object) -> None:
    assert tidied(given) == kept


@pytest.mark.parametrize(
    "schema",
    [
        {"exclusiveMinimum": 21, "maximum": 22},
        {"exclusiveMinimum": 0.5, "maximum": 0.7},
        {"exclusiveMinimum": 0},
        {"exclusiveMinimum": "x", "maximum": 3},
    ],
)
def test_other_exclusive_bounds_stay(schema: object) -> None:
    assert tidied(schema) == schema


def test_true_is_a_schema_and_what_llguidance_refuses_is_left_to_it() -> None:
    assert tidied(True) == {}
    odd = {"$ref": 5, "pattern": 5, "properties": [], "anyOf": 3, "enum": 5, "minItems": "x"}
    assert tidied(odd) == odd


def body_of(constraint: Constraint) -> Any:
    return json.loads(constraint_source(constraint).grammar)["grammars"][0]


def test_every_kind_becomes_a_grammar() -> None:
    schema = body_of(Constraint(kind="json_schema", source='{"type": "null"}'))["json_schema"]
    assert schema == {"type": "null", "x-guidance": {"whitespace_pattern": WHITESPACE}}
    assert body_of(Constraint(kind="json_object"))["json_schema"]["type"] == "object"
    assert body_of(Constraint(kind="regex", source="a/b")) == {"lark_grammar": "start: /a\\/b/"}
    assert body_of(Constraint(kind="lark", source="x")) == {"lark_grammar": "x"}


def test_a_long_regex_and_a_long_grammar_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="the regex takes 20000 bytes but 16384"):
        constraint_source(Constraint(kind="regex", source="a" * 20_000))
    with pytest.raises(InvalidRequest, match="the grammar takes 70000 bytes but 65536"):
        constraint_source(Constraint(kind="lark", source="a" * 70_000))


def refused_tools(tools: list[Tool], tool_choice: str = "required") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        tool_call_source(tools, tool_choice=tool_choice)
    return caught.value


def test_tools_are_charged_for() -> None:
    tools = [Tool(name=f"tool_{idx}") for idx in range(1000)]
    assert "1000 tools may be called but 128 are allowed" in refused_tools(tools).message
    large = [Tool(name="a", parameters=json.dumps({"const": "x" * 60_000}))] * 5
    assert "the tools' parameters take 300065 bytes" in refused_tools(large).message


def test_a_tool_choice_that_was_not_offered_names_what_was() -> None:
    error = refused_tools([Tool(name="get")], tool_choice="put")
    assert error.param == "tool_choice"
    assert error.message == "tool_choice is 'put' but the tools are: 'get'"
    assert "the tools are: none" in refused_tools([]).message


def test_arguments_must_be_an_object() -> None:
    error = refused_tools([Tool(name="get", parameters='{"type": "array"}')])
    assert "the parameters of tool 'get' have type 'array'" in error.message
    assert error.param == "tools"
    assert "not valid JSON" in refused_tools([Tool(name="get", parameters="{")]).message
