"""The real `openai` client and a real engine: a tiny model of noise behind a socket."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest
from jsonschema import Draft202012Validator

from giving_up import give_up
from myna.core.progress import silent
from myna.engine.stats import EngineStats
from myna.models.tiny import write_tiny_checkpoint
from myna.pipeline.load import LoadOptions
from myna.pipeline.service import LocalService, load_local_service
from myna.server.settings import ServerSettings
from random_schemas import SchemaMaker

CONTEXT = 2048
LEAVE_S = 10.0  # a busy machine's time for all clients to be missed; the figure is in steps
NUM_SCHEMAS, NUM_AT_ONCE = 200, 16
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Oslo", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CLOCK: Any = {
    "type": "function",
    "function": {
        "name": "clock",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    },
}


def turn(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny", "qwen2")
    options = LoadOptions(model_id="tiny", dtype="float32", max_context=CONTEXT)
    service = load_local_service(folder, options, silent)
    yield service
    asyncio.run(service.close())


@pytest.fixture(scope="module")
def url(service: LocalService, serve: Any) -> Iterator[str]:
    with serve(service, ServerSettings()) as live:
        yield live.url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="EMPTY", max_retries=0) as client:
        yield client


class TestAnswers:
    """Text, whole and in pieces."""

    def test_a_stream_adds_up_to_the_whole(self, client: openai.OpenAI) -> None:
        asked: Any = {"model": "tiny", "messages": turn("hi"), "max_tokens": 24, "temperature": 0}
        whole = client.chat.completions.create(**asked)
        chunks = list(
            client.chat.completions.create(
                **asked, stream=True, stream_options={"include_usage": True}
            )
        )
        texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        assert "".join(texts) == whole.choices[0].message.content
        assert sum(map(bool, texts)) > 3
        ends = [c.choices[0].finish_reason for c in chunks if c.choices]
        assert [end for end in ends if end] == [whole.choices[0].finish_reason]
        usage = chunks[-1].usage
        assert usage is not None
        assert whole.usage is not None
        assert usage.completion_tokens == whole.usage.completion_tokens

    def test_choices_differ_and_their_seed_brings_them_back(self, client: openai.OpenAI) -> None:
        def ask(num_choices: int) -> list[str | None]:
            answer = client.chat.completions.create(
                model="tiny", messages=turn("hi"), n=num_choices, seed=5, max_tokens=16
            )
            assert [choice.index for choice in answer.choices] == list(range(num_choices))
            return [choice.message.content for choice in answer.choices]

        texts = ask(3)
        assert len(set(texts)) == 3
        assert ask(3) == texts
        assert ask(1) == texts[:1]

    def test_logprobs_are_those_of_the_text(self, client: openai.OpenAI) -> None:
        answer = client.chat.completions.create(
            model="tiny",
            messages=turn("hi"),
            max_tokens=12,
            temperature=0,
            logprobs=True,
            top_logprobs=5,
        )
        choice = answer.choices[0]
        assert choice.logprobs is not None
        scores = choice.logprobs.content
        assert scores
        spelled = b"".join(bytes(score.bytes or ()) for score in scores)
        assert spelled.decode(errors="replace") == choice.message.content
        for score in scores:
            tops = [top.logprob for top in score.top_logprobs]
            assert tops == sorted(tops, reverse=True)
            assert len(tops) == 5
            assert score.logprob == tops[0]  # greedy
            assert sum(map(math.exp, tops)) <= 1 + 1e-5

    def test_a_prompt_is_scored_as_its_answer_was(self, client: openai.OpenAI) -> None:
        prompt = list(b"abcdefgh")
        wrote = client.completions.create(
            model="tiny", prompt=prompt, max_tokens=1, temperature=0, logprobs=1
        )
        assert wrote.choices[0].logprobs is not None
        score = wrote.choices[0].logprobs.token_logprobs
        assert score is not None
        read = client.completions.create(
            model="tiny", prompt=prompt, max_tokens=1, temperature=0, logprobs=1, echo=True
        )
        assert read.choices[0].logprobs is not None
        scores = read.choices[0].logprobs.token_logprobs
        assert scores is not None
        assert len(scores) == len(prompt) + 1
        assert scores[-1] == pytest.approx(score[0], abs=1e-5)


@dataclass
class Watch:
    """Record at which of the engine's steps requests were given up, and what was left then."""

    asked: list[int] = field(default_factory=list)
    gone: list[EngineStats] = field(default_factory=list)


@pytest.fixture
def watch(service: LocalService, monkeypatch: pytest.MonkeyPatch) -> Watch:
    thread, watch = service._thread, Watch()
    engine = thread._engine
    thread_cancel, engine_cancel = thread.cancel, engine.cancel

    def asked(request_id: Any) -> None:
        watch.asked.append(engine.stats().num_steps)
        thread_cancel(request_id)

    def gone(request_id: Any) -> bool:
        is_open = engine_cancel(request_id)
        watch.gone.append(engine.stats())
        return is_open

    monkeypatch.setattr(thread, "cancel", asked)
    monkeypatch.setattr(engine, "cancel", gone)
    return watch


def check_gone(service: LocalService, watch: Watch, *, num_requests: int) -> None:
    """Check that all requests were given up, each within a step, and left nothing behind."""
    deadline_s = time.monotonic() + LEAVE_S
    while len(watch.gone) < num_requests:
        assert time.monotonic() < deadline_s, "a request is still running"
        time.sleep(0.001)
    assert len(watch.asked) == num_requests
    for asked, gone in zip(watch.asked, watch.gone, strict=True):
        assert gone.num_steps - asked <= 1
    last = watch.gone[-1]
    assert (last.num_running, last.num_waiting, last.used_blocks) == (0, 0, 0)
    pool = service._thread._engine.pool
    assert pool.num_free + pool.num_cached == service._thread._engine.config.num_blocks


class TestLeaving:
    """A client that goes away frees everything within one step."""

    def test_leaving_a_stream(
        self, client: openai.OpenAI, service: LocalService, watch: Watch
    ) -> None:
        with client.chat.completions.create(
            model="tiny",
            messages=turn("x" * 300),
            stream=True,
            n=4,
            extra_body={"ignore_eos": True},
        ) as stream:
            for _ in range(12):
                next(stream)
        check_gone(service, watch, num_requests=1)

    def test_giving_up_a_whole_answer(self, url: str, service: LocalService, watch: Watch) -> None:
        async def ask(client: openai.AsyncOpenAI) -> None:
            await client.chat.completions.create(
                model="tiny", messages=turn("x" * 300), n=4, extra_body={"ignore_eos": True}
            )

        asyncio.run(give_up(url, ask, lambda: service._thread.stats.num_running > 0))
        check_gone(service, watch, num_requests=1)

    async def test_a_crowd_that_leaves_at_odd_times(
        self, url: str, service: LocalService, watch: Watch
    ) -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key="EMPTY", max_retries=0) as client:

            async def leave(number: int) -> None:
                stream = await client.chat.completions.create(
                    model="tiny",
                    messages=turn(f"{number}" * (1 + 37 * number)),
                    stream=True,
                    extra_body={"ignore_eos": True},
                )
                for _ in range(number % 7):
                    await anext(stream)
                await stream.close()

            await asyncio.gather(*(leave(number) for number in range(24)))
            await asyncio.to_thread(check_gone, service, watch, num_requests=24)


class TestTools:
    """A model of noise calls what it must."""

    @pytest.mark.parametrize(
        ("choice", "names"),
        [
            ("required", {"weather", "clock"}),
            ({"type": "function", "function": {"name": "clock"}}, {"clock"}),
            (
                {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [{"type": "function", "function": {"name": "weather"}}],
                    },
                },
                {"weather"},
            ),
        ],
    )
    def test_a_choice_is_enforced(
        self, client: openai.OpenAI, choice: Any, names: set[str]
    ) -> None:
        for seed in range(4):
            answer = client.chat.completions.create(
                model="tiny",
                messages=turn("hi"),
                tools=[WEATHER, CLOCK],
                tool_choice=choice,
                parallel_tool_calls=False,
                temperature=1,
                seed=seed,
                max_tokens=300,
            )
            assert answer.choices[0].finish_reason == "tool_calls"
            assert answer.choices[0].message.content is None
            (call,) = answer.choices[0].message.tool_calls or ()
            assert call.function.name in names
            arguments = json.loads(call.function.arguments)
            tool = WEATHER if call.function.name == "weather" else CLOCK
            Draft202012Validator(tool["function"]["parameters"]).validate(arguments)

    def test_a_streamed_call_adds_up_and_its_result_is_taken(self, client: openai.OpenAI) -> None:
        with client.chat.completions.stream(
            model="tiny", messages=turn("hi"), tools=[WEATHER], tool_choice="required", seed=1
        ) as stream:
            final = stream.get_final_completion()
        message = final.choices[0].message
        assert final.choices[0].finish_reason == "tool_calls"
        assert message.tool_calls
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": "sun"}
            for call in message.tool_calls
        ]
        history: Any = [*turn("hi"), message, *results]
        answer = client.chat.completions.create(
            model="tiny", messages=history, tools=[WEATHER], max_tokens=8
        )
        assert answer.usage is not None
        assert answer.usage.completion_tokens > 0

    @pytest.mark.parametrize("choice", ["auto", "none"])
    def test_a_free_choice_forces_nothing(self, client: openai.OpenAI, choice: Any) -> None:
        answer = client.chat.completions.create(
            model="tiny",
            messages=turn("hi"),
            tools=[WEATHER],
            tool_choice=choice,
            temperature=0,
            max_tokens=16,
        )
        assert answer.choices[0].finish_reason in ("stop", "length")
        assert answer.choices[0].message.content


async def test_json_under_200_random_schemas_is_valid(url: str, service: LocalService) -> None:
    # Closing marks are preferred, so that a model of noise comes to an end.
    closers = [(await service.tokenize(mark))[0] for mark in '"}]']
    gate = asyncio.Semaphore(NUM_AT_ONCE)
    async with openai.AsyncOpenAI(base_url=url, api_key="EMPTY", max_retries=0) as client:

        async def ask(seed: int) -> None:
            schema = SchemaMaker(seed).make()
            form: Any = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
            async with gate:
                answer = await client.chat.completions.create(
                    model="tiny",
                    messages=turn("hi"),
                    response_format=form,
                    seed=seed,
                    temperature=1,
                    logit_bias={str(closer): 5 for closer in closers},
                )
            choice = answer.choices[0]
            assert choice.finish_reason == "stop"
            Draft202012Validator(schema).validate(json.loads(choice.message.content or ""))

        await asyncio.gather(*(ask(seed) for seed in range(NUM_SCHEMAS)))
