"""Reasoning from the template to the events, with a model that writes exactly what it is told."""

from __future__ import annotations

import json

import pytest

from myna.core.events import Failed, TextDelta
from myna.core.messages import Message, TextPart, ToolCall, text_message
from myna.core.requests import Constraint
from myna.pipeline.thinking import MIN_LOOP_TOKENS

OPENED = (
    "qwq",
    "r1",
)  # these templates open the block in the prompt; qwen3's leaves it to the model
SCHEMA = """{"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"],
 "additionalProperties": false}"""


@pytest.mark.parametrize("template", OPENED)
async def test_an_answer_that_starts_inside_the_block_is_reasoning_up_to_its_end(told, template):
    said = await told(template).answer("Well, hm.\n</think>\n\nIt is so.")
    assert (said.reasoning, said.text) == ("Well, hm.", "It is so.")
    assert said.end.reason == "stop"


async def test_a_block_that_the_model_opens_is_reasoning_too(told):
    qwen3 = told("qwen3")
    said = await qwen3.answer("<think>\nWell, hm.\n</think>\n\nIt is so.")
    assert (said.reasoning, said.text) == ("Well, hm.", "It is so.")
    said = await qwen3.answer("It is so.")
    assert (said.reasoning, said.text, said.end.usage.reasoning_tokens) == ("", "It is so.", 0)


async def test_reasoning_that_never_ends_is_no_answer(told):
    said = await told("qwq").answer("xyz" * 9, sampling={"max_tokens": 6})
    assert (said.reasoning, said.text, said.end.reason) == ("xyzxyz", "", "length")
    assert said.end.usage.reasoning_tokens == said.end.usage.completion_tokens


@pytest.mark.parametrize("template", ["qwq", "qwen3"])
async def test_reasoning_tokens_are_counted_up_to_the_closing_tag(told, template):
    service = told(template)
    opened = "<think>" * (template == "qwen3")
    said = await service.answer(f"{opened}abc</think>xyz")
    assert said.end.usage.reasoning_tokens == len("abc") + 1
    assert said.end.usage.completion_tokens == bool(opened) + len("abc") + 1 + len("xyz") + 1


async def test_stop_strings_and_logprobs_are_of_the_answer_only(told):
    said = await told("qwq").answer("a b</think>a b c", sampling={"stop": ("b",), "logprobs": 0})
    assert (said.reasoning, said.text, said.end.reason) == ("a b", "a ", "stop")
    scored = [score.token for e in said.events if isinstance(e, TextDelta) for score in e.logprobs]
    assert "".join(scored) == "a "


@pytest.mark.parametrize("template", ["qwq", "r1", "qwen3"])
async def test_earlier_thoughts_are_kept_out_of_the_prompt(told, template):
    service = told(template)
    plain = (
        text_message("user", "one?"),
        text_message("assistant", "1"),
        text_message("user", "?"),
    )
    inline = text_message("assistant", "<think>\nsecret\n</think>\n\n1")
    apart = Message(role="assistant", content=(TextPart("1"),), reasoning="secret")
    wanted = service.prompt(messages=plain)
    assert wanted.endswith("<think>\n") == (template in OPENED)
    for answer in (inline, apart):
        assert service.prompt(messages=(plain[0], answer, plain[2])) == wanted


@pytest.mark.parametrize("template", ["qwq", "r1", "qwen3"])
async def test_an_unfinished_answer_goes_on_without_another_thought(told, template):
    service = told(template)
    begun = (text_message("user", "why?"), text_message("assistant", "It is"))
    said = await service.answer(" so.", chat={"messages": begun, "continues": True})
    assert (said.reasoning, said.text) == ("", " so.")
    assert service.prompt(messages=begun, continues=True).endswith("It is")


@pytest.mark.parametrize("template", ["qwq", "r1", "qwen3"])
async def test_an_unfinished_thought_goes_on_and_comes_to_its_end(told, template):
    thought = Message(role="assistant", reasoning="Well,")
    begun = (text_message("user", "why?"), thought)
    said = await told(template).answer(
        "\nhm.\n</think>\n\nSo.", chat={"messages": begun, "continues": True}
    )
    assert (said.reasoning, said.text) == ("\nhm.", "So.")


async def test_a_thought_that_a_tool_interrupted_stays_in_the_prompt(told):
    call = ToolCall(id="c", name="f", arguments="{}")
    turns = (
        text_message("user", "one?"),
        Message(role="assistant", reasoning="I look it up", tool_calls=(call,)),
        Message(role="tool", tool_call_id="c", content=(TextPart("1"),)),
    )
    assert "<think>\nI look it up\n</think>" in told("qwen3").prompt(messages=turns)


async def test_switched_off_a_block_is_closed_in_the_prompt(told):
    qwen3 = told("qwen3")
    chat = {"messages": (text_message("user", "why?"),), "thinking": False}
    assert qwen3.prompt(**chat).endswith("<think>\n\n</think>\n\n")
    said = await qwen3.answer("so", chat=chat)
    assert (said.reasoning, said.text) == ("", "so")


@pytest.mark.parametrize(("template", "opened"), [("qwq", ""), ("r1", ""), ("qwen3", "<think>")])
async def test_a_spent_budget_closes_the_block_and_the_answer_follows(told, template, opened):
    service = told(template)
    said = await service.answer(opened + "abcdefghij" * 9, thinking_budget=12)
    num_thoughts = 12 - len(service.tokenizer.encode(opened))
    assert said.reasoning == ("abcdefghij" * 9)[:num_thoughts]
    assert said.text.endswith("hij")
    assert said.end.usage.reasoning_tokens <= 12 + len(service.tokenizer.encode("\n</think>"))


async def test_a_budget_of_nothing_closes_the_block_at_once(told):
    said = await told("qwq").answer("xyz" + "so it is", thinking_budget=0)
    assert said.reasoning == ""
    assert "so it is".endswith(said.text)


async def test_a_budget_leaves_an_answer_without_a_block_alone(told):
    said = await told("qwen3").answer("abc" * 30, thinking_budget=4)
    assert (said.reasoning, said.text) == ("", "abc" * 30)


@pytest.mark.parametrize(("template", "opened"), [("qwq", ""), ("qwen3", "<think>")])
async def test_going_in_circles_closes_the_block(told, template, opened):
    said = await told(template).answer(opened + "again. " * 60)
    assert MIN_LOOP_TOKENS <= said.end.usage.reasoning_tokens < MIN_LOOP_TOKENS + 32
    assert said.text.endswith("again. ")


async def test_circles_in_the_answer_are_the_callers_wish(told):
    said = await told("qwq").answer("ok</think>" + "again. " * 60)
    assert said.text == "again. " * 60


@pytest.mark.parametrize("thinking", [None, True, False])
@pytest.mark.parametrize(("template", "opened"), [("qwq", ""), ("r1", ""), ("qwen3", "<think>")])
async def test_a_schema_binds_only_what_follows_the_block(told, template, opened, thinking):
    if template == "qwen3" and thinking is False:
        opened = ""  # the template has closed the block
    chat = {"messages": (text_message("user", "why?"),), "thinking": thinking}
    words = f'{opened}{{"a": 7}} no\n</think>\n\n{{"a": 9}}'
    said = await told(template).answer(
        words, chat=chat, constraint=Constraint(kind="json_schema", source=SCHEMA)
    )
    if template == "qwen3" and thinking is False:
        assert said.reasoning == ""
    else:
        assert said.reasoning == '{"a": 7} no'
    assert json.loads(said.text)["a"] in (1, 2)


@pytest.mark.parametrize("kind", ["json_schema", "regex"])
async def test_a_budget_closes_the_block_before_a_constrained_answer(told, kind):
    source = SCHEMA if kind == "json_schema" else r'\{"a": [12]\}'
    said = await told("qwq").answer(
        "hm " * 60, constraint=Constraint(kind=kind, source=source), thinking_budget=9
    )
    assert not isinstance(said.events[-1], Failed), said.events[-1]
    assert said.reasoning == "hm hm hm "
    assert json.loads(said.text)["a"] in (1, 2)
