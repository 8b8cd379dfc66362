"""Reasoning and tool calls as the `openai` client sees them; the model writes what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from myna.server.settings import ServerSettings
from scripted import Told, told_service

QWQ = Path(__file__).parents[1] / "text/templates/qwq.jinja"
THOUGHT, ANSWER = "Well, hm.\nSo be it.", "It is so."
SCRIPT = f"{THOUGHT}\n</think>\n\n{ANSWER}"
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
WEATHER: Any = {"type": "function", "function": {"name": "weather"}}


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    told = told_service(tmp_path / "qwq", QWQ.read_text())
    yield told
    asyncio.run(told.service.close())


@pytest.fixture
def client(told: Told, serve: Any) -> Iterator[openai.OpenAI]:
    with (
        serve(told.service, ServerSettings()) as live,
        openai.OpenAI(base_url=live.url, api_key="EMPTY", max_retries=0) as client,
    ):
        yield client


def tell(told: Told, script: str) -> dict[str, Any]:
    """Tell the model its next answer, and give the fields of a request for it."""
    told.decoder.tell(told.tokenizer.encode(script))
    return {"model": "qwq", "messages": [{"role": "user", "content": "why?"}], "temperature": 0}


def test_both_names_of_reasoning_are_in_whole_answers(client: openai.OpenAI, told: Told) -> None:
    answer = client.chat.completions.create(**tell(told, SCRIPT))
    message: Any = answer.choices[0].message
    assert message.content == ANSWER
    assert message.reasoning == THOUGHT
    assert message.reasoning_content == THOUGHT
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    thought = told.tokenizer.encode(f"{THOUGHT}\n</think>")
    assert answer.usage.completion_tokens_details.reasoning_tokens == len(thought)


def test_both_names_of_reasoning_are_in_chunks(client: openai.OpenAI, told: Told) -> None:
    thought: dict[str, str] = {"reasoning": "", "reasoning_content": ""}
    text, kinds = "", []
    usage = None
    for chunk in client.chat.completions.create(
        **tell(told, SCRIPT), stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            delta = choice.delta.model_dump()
            for name in thought:
                thought[name] += delta.get(name) or ""
            text += delta.get("content") or ""
            if delta.get("reasoning") or delta.get("content"):
                kinds.append("reasoning" if delta.get("reasoning") else "content")
    assert thought == {"reasoning": THOUGHT, "reasoning_content": THOUGHT}
    assert text == ANSWER
    assert kinds == sorted(kinds, reverse=True)  # first all reasoning, then all content
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens


def test_a_thinking_budget_is_kept(client: openai.OpenAI, told: Told) -> None:
    answer = client.chat.completions.create(
        **tell(told, "abcdefgh" * 20), extra_body={"thinking_budget": 16}
    )
    message: Any = answer.choices[0].message
    assert message.reasoning == "abcdefgh" * 2
    assert message.content


def test_a_schema_binds_what_follows_the_thought(client: openai.OpenAI, told: Told) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"const": "yes"}}}
    answer = client.chat.completions.create(**tell(told, SCRIPT), response_format=form)
    message: Any = answer.choices[0].message
    assert (message.reasoning, message.content) == (THOUGHT, '"yes"')


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_a_thought_sent_back_stays_out_of_the_prompt(
    client: openai.OpenAI, told: Told, name: str
) -> None:
    asked = tell(told, "x</think>y")
    history = [*asked["messages"], {"role": "assistant", "content": ANSWER, name: "secret"}]
    client.chat.completions.create(**{**asked, "messages": [*history, *asked["messages"]]})
    prompt = told.tokenizer.decode(told.decoder.prompt, skip_special=False)
    assert ANSWER in prompt
    assert "secret" not in prompt


def test_a_call_is_streamed_and_its_result_goes_back(client: openai.OpenAI, told: Told) -> None:
    asked = tell(told, f"{THOUGHT}</think>{CALL}") | {"tools": [WEATHER]}
    with client.chat.completions.stream(**asked) as stream:
        final = stream.get_final_completion()
    message = final.choices[0].message
    assert final.choices[0].finish_reason == "tool_calls"
    (call,) = message.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Oslo"}')
    tell(told, "x</think>Sun in Oslo.")
    result = {"role": "tool", "tool_call_id": call.id, "content": "bright"}
    answer = client.chat.completions.create(
        **{**asked, "messages": [*asked["messages"], message, result]}
    )
    assert answer.choices[0].message.content == "Sun in Oslo."
    prompt = told.tokenizer.decode(told.decoder.prompt, skip_special=False)
    assert CALL in prompt
    assert "<tool_response>\nbright\n</tool_response>" in prompt
