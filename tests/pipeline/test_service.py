"""LocalService on a tiny model: answers, echoes, cancels, survives bad requests."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from myna.core.events import (
    Accepted,
    Event,
    Failed,
    Finished,
    PromptEcho,
    TextDelta,
)
from myna.core.requests import Constraint, Request, RequestId, SamplingParams, TextInput, TokenInput
from myna.pipeline.engine_thread import EngineThread
from myna.pipeline.load import LoadOptions, load_model
from myna.pipeline.service import LocalService, load_local_service

CANARY = "the canary sings"


def text_of(events: list[Event], *, index: int = 0) -> str:
    return "".join(e.text for e in events if isinstance(e, TextDelta) and e.index == index)


def failure_of(events: list[Event]) -> str:
    (failed,) = events
    assert isinstance(failed, Failed)
    return failed.error.message


async def test_an_answer_begins_with_accepted_and_ends_with_finished(service, ask, chat):
    events = await ask(service, chat())
    assert isinstance(events[0], Accepted)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.reason in ("stop", "length")
    assert finished.usage.prompt_tokens == events[0].prompt_tokens
    assert finished.usage.completion_tokens == 8 or finished.reason == "stop"


async def test_every_choice_ends(service, ask, chat):
    request = chat(temperature=1.0, seed=3)
    events = await ask(service, Request(**{**_fields(request), "num_choices": 3}))
    assert sorted(e.index for e in events if isinstance(e, Finished)) == [0, 1, 2]


async def test_requests_at_once_answer_as_alone(service, ask, complete):
    prompts = [f"{number} little birds" for number in range(6)]
    alone = [text_of(await ask(service, complete(p, request_id=p))) for p in prompts]
    together = await asyncio.gather(*(ask(service, complete(p, request_id=p)) for p in prompts))
    assert [text_of(events) for events in together] == alone


async def test_echo_repeats_the_prompt_with_its_scores(service, ask):
    request = Request(
        id=RequestId("r"),
        input=TextInput(prompt="abc", echo=True),
        sampling=SamplingParams(temperature=0.0, max_tokens=0, logprobs=1),
    )
    events = await ask(service, request)
    (echo,) = [e for e in events if isinstance(e, PromptEcho)]
    assert echo.text == "abc"
    assert echo.logprobs is not None
    assert echo.logprobs[0].logprob is None
    assert all(score.logprob < 0 for score in echo.logprobs[1:])
    assert text_of(events) == ""


async def test_tokens_become_text_again_and_a_conversation_its_prompt(service, chat):
    assert await service.detokenize(await service.tokenize("hi you")) == "hi you"
    prompt = await service.render(chat("hi you").input)
    assert "hi you" in prompt
    assert len(await service.tokenize(prompt)) > len(await service.tokenize("hi you"))


async def test_echo_of_tokens_is_their_text_for_every_choice(service, ask):
    token_ids = await service.tokenize("hi you")
    request = Request(
        id=RequestId("r"),
        input=TokenInput(token_ids=token_ids, echo=True),
        sampling=SamplingParams(temperature=0.0, max_tokens=1),
        num_choices=2,
    )
    events = await ask(service, request)
    echoes = [e for e in events if isinstance(e, PromptEcho)]
    assert [(e.index, e.text, e.logprobs) for e in echoes] == [
        (0, "hi you", None),
        (1, "hi you", None),
    ]


async def test_a_stop_string_ends_the_answer_before_itself(service, ask, complete):
    whole = text_of(await ask(service, complete("abc", max_tokens=24, ignore_eos=True)))
    stop = whole[len(whole) // 2 :][:2]
    request = complete("abc", max_tokens=24, ignore_eos=True, stop=(stop,), request_id="s")
    events = await ask(service, request)
    assert text_of(events) == whole[: whole.index(stop)]
    assert events[-1].reason == "stop"
    assert events[-1].usage.completion_tokens < 24


async def test_a_schema_is_kept_by_a_model_of_noise(service, ask, chat):
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["n"],
        "additionalProperties": False,
    }
    request = Request(
        **{
            **_fields(chat(temperature=1.0, seed=1, max_tokens=200)),
            "constraint": Constraint(kind="json_schema", source=json.dumps(schema)),
        }
    )
    events = await ask(service, request)
    assert 0 <= json.loads(text_of(events))["n"] <= 9


async def test_closing_the_stream_frees_the_request_within_one_step(service, complete):
    stream = service.generate(complete("abc", max_tokens=200, ignore_eos=True))
    async for event in stream:
        if isinstance(event, TextDelta):
            break
    await stream.aclose()
    for _ in range(100):
        health = await service.health()
        if health.num_running + health.num_waiting == 0:
            break
        await asyncio.sleep(0.01)
    assert health.num_running == 0
    assert health.num_waiting == 0


async def test_a_long_prompt_is_refused_with_both_lengths(service, ask, complete):
    message = failure_of(await ask(service, complete("a" * 300)))
    assert "the prompt has 300 tokens but only 256 fit" in message


async def test_a_prompt_that_can_never_fit_is_refused_before_it_is_tokenized(
    service, ask, chat, complete, monkeypatch
):
    monkeypatch.setattr("myna.text.tokenizer._encode_beside", lambda *_: 1 / 0)
    for request in (complete("a" * 10**6), chat("a" * 10**6)):
        message = failure_of(await ask(service, request))
        assert "characters, far more than the 256 tokens that fit" in message


async def test_too_many_tokens_are_refused_with_what_fits(service, ask, complete):
    message = failure_of(await ask(service, complete("a" * 200, max_tokens=100)))
    assert "`max_tokens` is 100 but only 56 fit after a prompt of 200 tokens" in message


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"temperature": -1.0}, "`temperature` is -1.0"),
        ({"top_p": 0.0}, "`top_p` is 0.0"),
        ({"min_tokens": 9}, "`min_tokens` is 9 but `max_tokens` is 8"),
        ({"logit_bias": {10**6: 1.0}}, "`logit_bias` holds token id 1000000"),
    ],
)
async def test_a_bad_value_is_named_and_hurts_nobody_else(
    service, ask, complete, sampling, message
):
    before = await ask(service, complete(CANARY))
    assert message in failure_of(await ask(service, complete("x", **sampling)))
    assert text_of(await ask(service, complete(CANARY))) == text_of(before)


async def test_a_fault_while_preparing_fails_that_request_alone(
    service, ask, complete, monkeypatch, caplog
):
    good = text_of(await ask(service, complete(CANARY)))
    with monkeypatch.context() as patch:
        patch.setattr(service._preparer, "prepare", lambda request: 1 / 0)
        message = failure_of(await ask(service, complete("x")))
    assert "preparing the request failed" in message
    assert text_of(await ask(service, complete(CANARY))) == good


async def test_a_fault_of_a_step_fails_the_open_requests_and_not_the_next(
    service, ask, complete, monkeypatch
):
    good = text_of(await ask(service, complete(CANARY)))
    engine = service._thread._engine
    with monkeypatch.context() as patch:
        patch.setattr(engine, "step", lambda: 1 / 0)
        events = await ask(service, complete("x"))
    assert isinstance(events[-1], Failed)
    assert "the engine failed" in events[-1].error.message
    assert text_of(await ask(service, complete(CANARY))) == good


async def test_a_closed_service_fails_its_open_requests(tiny_folder, options, ask, complete):
    service = load_local_service(tiny_folder, options, lambda *_: None)
    stream = service.generate(complete("abc", max_tokens=250, ignore_eos=True))
    assert isinstance(await anext(stream), Accepted)
    await service.close()
    events = [event async for event in stream]
    assert isinstance(events[-1], Failed)
    assert "unloaded" in events[-1].error.message
    assert "unloaded" in failure_of(await ask(service, complete("abc")))
    await service.close()


async def test_closing_waits_for_a_proof_beside_the_event_loop(tiny_folder, options):
    service = load_local_service(tiny_folder, options, lambda *_: None)
    lock = service._preparer._grammars._prover._lock
    lock.acquire()  # as if a grammar were being proved
    threading.Timer(0.5, lock.release).start()
    closing = asyncio.create_task(service.close())
    num_turns = 0
    while not closing.done():
        await asyncio.sleep(0.01)
        num_turns += 1
    assert num_turns >= 10  # one or two if the loop waits


async def test_health_tells_of_a_stuck_engine(service, monkeypatch):
    assert (await service.health()).ready
    monkeypatch.setattr(EngineThread, "heartbeat_age_s", property(lambda _: 61.0))
    health = await service.health()
    assert not health.ready
    assert "has not moved on for 61 s" in health.reason


async def test_models_are_described(service: LocalService):
    (card,) = await service.models()
    assert (card.id, card.family, card.context_length) == ("tiny", "qwen2", 256)
    assert card.has_chat_template


def test_reloading_gives_the_same_weights(tiny_folder, options: LoadOptions):
    first, second = (load_model(tiny_folder, options, lambda *_: None) for _ in range(2))
    assert first.report.num_parameters == second.report.num_parameters


def _fields(request: Request) -> dict[str, object]:
    return {name: getattr(request, name) for name in request.__struct_fields__}
