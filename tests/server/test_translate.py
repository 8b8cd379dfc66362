"""Wire requests become core requests."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from myna.core.errors import InvalidRequest, Unsupported
from myna.core.messages import Message, TextPart, Tool, ToolCall
from myna.core.requests import Constraint, SamplingParams, TextInput, TokenInput
from myna.core.service import ModelCard
from myna.server.schemas.chat import ChatRequest
from myna.server.schemas.completions import CompletionRequest
from myna.server.translate import chat_input, constraint, raw_inputs, sampling_params

CARD = ModelCard(id="m", family="f", context_length=10, created_s=0)
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "Tell the time"}}


def wire_chat(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    turns = messages or ({"role": "user", "content": "hi"},)
    return msgspec.convert({"messages": list(turns), **fields}, ChatRequest)


def test_every_role_has_its_core_role() -> None:
    wire = wire_chat(
        {"role": "developer", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "function", "name": "f", "content": "43"},
    )
    assert chat_input(wire, CARD).messages == (
        Message(role="system", content=(TextPart("be kind"),)),
        Message(role="user", content=(TextPart("a"), TextPart("b"))),
        Message(
            role="assistant",
            reasoning="hm",
            tool_calls=(ToolCall(id="c1", name="f", arguments="{}"),),
        ),
        Message(role="tool", content=(TextPart("42"),), tool_call_id="c1"),
        Message(role="tool", content=(TextPart("43"),), name="f"),
    )


HALF = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "he"})
CALLED = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f"}}],
}


@pytest.mark.parametrize(
    ("fields", "continues"),
    [
        ({}, False),
        ({"add_generation_prompt": True}, False),
        ({"continue_final_message": False}, False),
        ({"continue_final_message": True}, True),
        ({"continue_final_message": True, "add_generation_prompt": False}, True),
    ],
)
def test_an_answer_goes_on_only_where_that_is_asked_for(
    fields: dict[str, bool], continues: bool
) -> None:
    assert chat_input(wire_chat(*HALF, **fields), CARD).continues is continues


@pytest.mark.parametrize(
    ("messages", "fields", "param", "problem"),
    [
        (
            HALF,
            {"continue_final_message": True, "add_generation_prompt": True},
            "continue_final_message",
            "`continue_final_message` and `add_generation_prompt` are both true",
        ),
        (
            HALF,
            {"add_generation_prompt": False},
            "add_generation_prompt",
            "so no answer would begin",
        ),
        (
            HALF[:1],
            {"continue_final_message": True},
            "continue_final_message",
            "the last one is of role 'user'",
        ),
        (
            (HALF[0], CALLED),
            {"continue_final_message": True},
            "continue_final_message",
            "The last message calls tools",
        ),
    ],
)
def test_what_cannot_go_on_is_refused(
    messages: tuple[dict[str, Any], ...], fields: dict[str, bool], param: str, problem: str
) -> None:
    with pytest.raises(InvalidRequest, match=problem) as caught:
        chat_input(wire_chat(*messages, **fields), CARD)
    assert caught.value.param == param


def test_tools_are_translated() -> None:
    asked = chat_input(wire_chat(tools=[WEATHER, CLOCK], parallel_tool_calls=False), CARD)
    assert asked.tools == (
        Tool(name="weather", parameters='{"type":"object"}'),
        Tool(name="clock", description="Tell the time"),
    )
    assert (asked.tool_choice, asked.parallel_tool_calls) == ("auto", False)


@pytest.mark.parametrize(
    ("choice", "names", "mode"),
    [
        ("none", ["weather", "clock"], "none"),
        ("required", ["weather", "clock"], "required"),
        ({"type": "function", "function": {"name": "clock"}}, ["clock"], "required"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [WEATHER]}},
            ["weather"],
            "auto",
        ),
    ],
)
def test_a_named_choice_leaves_only_the_named_tools(
    choice: object, names: list[str], mode: str
) -> None:
    asked = chat_input(wire_chat(tools=[WEATHER, CLOCK], tool_choice=choice), CARD)
    assert ([tool.name for tool in asked.tools], asked.tool_choice) == (names, mode)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tool_choice": "required"}, "`tool_choice` is required but `tools` is empty."),
        (
            {"tool_choice": {"type": "function", "function": {"name": "x"}}, "tools": [CLOCK]},
            "`tool_choice` names 'x', which is not in `tools`.",
        ),
        ({"tool_choice": {"type": "function"}}, "`tool_choice` of type function needs `function`."),
    ],
)
def test_impossible_choices_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        chat_input(wire_chat(**fields), CARD)
    assert error.value.message == message


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        ({}, None),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "low"}, True),
        ({"enable_thinking": False, "reasoning_effort": "high"}, False),
        ({"chat_template_kwargs": {"enable_thinking": True}, "enable_thinking": False}, True),
        ({"chat_template_kwargs": {}, "enable_thinking": False}, False),
    ],
)
def test_the_most_exact_wish_about_thinking_wins(
    fields: dict[str, Any], thinking: bool | None
) -> None:
    assert chat_input(wire_chat(**fields), CARD).thinking is thinking


@pytest.mark.parametrize(
    ("message", "text", "param"),
    [
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]},
            "'m' takes text, not a part of type 'image_url'.",
            "messages[0].content[0]",
        ),
        (
            {"role": "user", "content": [{"type": "text"}]},
            "`messages[0].content[0].text` is missing; it is required.",
            "messages[0].content[0].text",
        ),
        (
            {"role": "tool", "content": "42"},
            "A tool's message needs the `tool_call_id` that it answers.",
            "messages[0].tool_call_id",
        ),
    ],
)
def test_messages_that_cannot_be_read_are_refused(
    message: dict[str, Any], text: str, param: str
) -> None:
    with pytest.raises((InvalidRequest, Unsupported)) as error:
        chat_input(wire_chat(message), CARD)
    assert (error.value.message, error.value.param) == (text, param)


def test_a_model_without_a_template_takes_no_chat() -> None:
    card = msgspec.structs.replace(CARD, has_chat_template=False)
    with pytest.raises(Unsupported, match=r"'m' has no chat template; use /v1/completions"):
        chat_input(wire_chat(), card)


def test_an_earlier_spoken_turn_needs_its_transcript() -> None:
    spoken = {"role": "assistant", "audio": {"id": "audio_1"}}
    with pytest.raises(Unsupported, match="Spoken turns are not kept; send the transcript"):
        chat_input(wire_chat(spoken), CARD)
    assert chat_input(wire_chat({**spoken, "content": "hi"}), CARD).messages[0].text == "hi"


def test_what_is_not_said_is_left_to_the_model() -> None:
    assert sampling_params(wire_chat(), logprobs=None, max_tokens=None) == SamplingParams()


def test_sampling_fields_are_translated() -> None:
    wire = wire_chat(
        temperature=0.5,
        top_k=-1,
        top_p=0.9,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=0.2,
        frequency_penalty=-0.2,
        seed=-5,
        stop="end",
        logit_bias={"5": -100, "not an id": 0},
        min_tokens=2,
        ignore_eos=True,
    )
    assert sampling_params(wire, logprobs=3, max_tokens=9) == SamplingParams(
        temperature=0.5,
        top_k=0,
        top_p=0.9,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=0.2,
        frequency_penalty=-0.2,
        seed=-5,
        logit_bias={5: -100.0},
        max_tokens=9,
        min_tokens=2,
        stop=("end",),
        ignore_eos=True,
        logprobs=3,
    )


def test_more_tokens_at_least_than_at_most_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"`min_tokens` is 3 but `max_tokens` is 2; lower it"):
        sampling_params(wire_chat(min_tokens=3), logprobs=None, max_tokens=2)


@pytest.mark.parametrize("key", ["x", "-1", "1.5", "٣", "9999999999", ""])
def test_a_bias_on_no_token_id_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest, match=r"`logit_bias` has the key .*, which is no token id"):
        sampling_params(wire_chat(logit_bias={key: 1}), logprobs=None, max_tokens=None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, Constraint(kind="json_object")),
        (
            {"response_format": {"type": "json_object", "schema": {"type": "array"}}},
            Constraint(kind="json_schema", source='{"type":"array"}'),
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}},
            Constraint(kind="json_schema", source='{"a":1}'),
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "any"}}},
            Constraint(kind="json_object"),
        ),
        (
            {"structured_outputs": {"json": {"b": 1}}},
            Constraint(kind="json_schema", source='{"b":1}'),
        ),
        (
            {"structured_outputs": {"json": '{"b": 1}'}},
            Constraint(kind="json_schema", source='{"b": 1}'),
        ),
        ({"structured_outputs": {"regex": "a+"}}, Constraint(kind="regex", source="a+")),
        ({"structured_outputs": {"grammar": "s: A"}}, Constraint(kind="lark", source="s: A")),
        ({"structured_outputs": {}}, None),
    ],
)
def test_answers_are_constrained(fields: dict[str, Any], expected: Constraint | None) -> None:
    wire = wire_chat(**fields)
    assert constraint(wire.response_format, wire.structured_outputs) == expected


def test_a_schema_that_is_announced_and_missing_is_refused() -> None:
    wire = wire_chat(response_format={"type": "json_schema"})
    with pytest.raises(InvalidRequest, match=r"of type json_schema needs `json_schema`"):
        constraint(wire.response_format, None)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a", [TextInput(prompt="a")]),
        (["a", "b"], [TextInput(prompt="a"), TextInput(prompt="b")]),
        ([1, 2], [TokenInput(token_ids=(1, 2))]),
        ([[1], [2]], [TokenInput(token_ids=(1,)), TokenInput(token_ids=(2,))]),
    ],
)
def test_all_forms_of_a_prompt_are_taken(prompt: object, expected: list[object]) -> None:
    assert raw_inputs(msgspec.convert({"prompt": prompt}, CompletionRequest)) == expected


def test_mixed_prompts_are_refused() -> None:
    wire = msgspec.convert({"prompt": ["a", 1]}, CompletionRequest)
    with pytest.raises(InvalidRequest, match=r"`prompt` mixes texts, token ids and lists"):
        raw_inputs(wire)
