"""The echo service: it answers in the forms that a real service does."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from myna.core.echo import BEEP_SAMPLES, EchoService, beep
from myna.core.events import (
    Accepted,
    AudioDelta,
    Event,
    Failed,
    Finished,
    PictureDelta,
    PromptEcho,
    ReasoningDelta,
    StepReuse,
    TextDelta,
    ToolCallDelta,
)
from myna.core.messages import (
    AudioPart,
    ImagePart,
    Message,
    TextPart,
    Tool,
    VideoPart,
    text_message,
)
from myna.core.requests import (
    ChatInput,
    EditInput,
    Request,
    RequestId,
    SamplingParams,
    SayInput,
    Speech,
    TextInput,
    TokenInput,
)


def chat(text: str, *, num_choices: int = 1, sampling: SamplingParams | None = None) -> Request:
    messages = (text_message("user", "earlier"), text_message("user", text))
    return Request(
        id=RequestId("req_1"),
        input=ChatInput(messages=messages),
        num_choices=num_choices,
        sampling=sampling or SamplingParams(),
    )


async def run(request: Request) -> list[Event]:
    return [event async for event in EchoService().generate(request)]


def text_of(events: list[Event], index: int = 0) -> str:
    return "".join(
        event.text for event in events if isinstance(event, TextDelta) and event.index == index
    )


async def test_the_last_user_text_comes_back_word_by_word() -> None:
    events = await run(chat("two  words\n"))
    assert isinstance(events[0], Accepted)
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["two  ", "words\n"]
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.usage.prompt_tokens, last.usage.completion_tokens) == ("stop", 2, 2)


async def test_an_answer_goes_on_with_the_rest() -> None:
    turns = (text_message("user", "one two three"), text_message("assistant", "one "))
    asked = ChatInput(messages=turns, continues=True)
    assert text_of(await run(msgspec.structs.replace(chat(""), input=asked))) == "two three"


async def test_each_choice_is_finished() -> None:
    events = await run(chat("a b", num_choices=3))
    assert [event.index for event in events if isinstance(event, Finished)] == [0, 1, 2]
    assert {text_of(events, index) for index in range(3)} == {"a b"}


@pytest.mark.parametrize(
    ("sampling", "text", "reason"),
    [
        (SamplingParams(max_tokens=2), "a b ", "length"),
        (SamplingParams(max_tokens=0), "", "length"),
        (SamplingParams(stop=("c", "b")), "a ", "stop"),
    ],
)
async def test_limits_and_stops_cut_the_answer(
    sampling: SamplingParams, text: str, reason: str
) -> None:
    events = await run(chat("a b c d", sampling=sampling))
    last = events[-1]
    assert isinstance(last, Finished)
    assert (text_of(events), last.reason) == (text, reason)


async def test_logprobs_come_with_as_many_alternatives_as_asked_for() -> None:
    events = await run(chat("a b", sampling=SamplingParams(logprobs=2)))
    deltas = [event for event in events if isinstance(event, TextDelta)]
    assert [token.token for delta in deltas for token in delta.logprobs] == ["a ", "b"]
    assert [top.token for top in deltas[0].logprobs[0].top] == ["a ", "a~1"]


async def test_raw_text_is_echoed_with_no_logprob_for_its_first_token() -> None:
    request = Request(
        id=RequestId("req_1"),
        input=TextInput(prompt="a b", echo=True),
        sampling=SamplingParams(logprobs=1, max_tokens=0),
    )
    echo = (await run(request))[1]
    assert isinstance(echo, PromptEcho)
    assert echo.logprobs is not None
    assert [token.logprob for token in echo.logprobs] == [None, -0.5]


async def test_token_ids_are_echoed_as_numbers() -> None:
    request = Request(id=RequestId("req_1"), input=TokenInput(token_ids=(7, 8)))
    assert text_of(await run(request)) == "7 8"


async def test_commands_make_reasoning_and_tool_calls() -> None:
    events = await run(chat('/think let me see\nhi\n/call look {"at": 1}'))
    reasoning = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert (reasoning, text_of(events)) == ("let me see", "hi\n")
    assert (calls[0].name, calls[1].arguments) == ("look", '{"at": 1}')
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.usage.reasoning_tokens) == ("tool_calls", 3)


async def test_a_required_call_takes_the_first_tool() -> None:
    request = Request(
        id=RequestId("req_1"),
        input=ChatInput(
            messages=(text_message("user", "hi"),),
            tools=(Tool(name="look"),),
            tool_choice="required",
        ),
    )
    calls = [event for event in await run(request) if isinstance(event, ToolCallDelta)]
    assert calls[0].name == "look"


async def test_refuse_fails_before_anything_is_accepted() -> None:
    (event,) = await run(chat("/refuse too many"))
    assert isinstance(event, Failed)
    assert (event.error.status, event.error.message) == (429, "too many")


async def test_fail_breaks_the_answer_off() -> None:
    events = await run(chat("hi\n/fail it broke"))
    last = events[-1]
    assert isinstance(last, Failed)
    assert (text_of(events), last.error.message) == ("hi\n", "it broke")


async def test_closing_a_stream_frees_it_and_counts_as_cancelled() -> None:
    service = EchoService()
    async with aclosing(service.generate(chat("a b c"))) as events:
        await anext(events)
        assert (await service.health()).num_running == 1
    assert ((await service.health()).num_running, service.num_cancelled) == (0, 1)


async def test_closing_the_service_fails_what_is_open() -> None:
    service = EchoService(delay_s=60.0)

    async def read() -> list[Event]:
        return [event async for event in service.generate(chat("a b c"))]

    task = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    await service.close()
    last = (await task)[-1]
    assert isinstance(last, Failed)
    assert last.error.message == "The echo service was closed."
    assert not (await service.health()).ready


async def test_words_take_their_time() -> None:
    started_s = asyncio.get_running_loop().time()
    async for _ in EchoService(delay_s=0.01).generate(chat("a b")):
        pass
    assert asyncio.get_running_loop().time() - started_s >= 0.02


async def test_every_word_has_a_token_id() -> None:
    service = EchoService(model="parrot")
    assert len(await service.tokenize("a b a ")) == 3
    assert [card.id for card in await service.models()] == ["parrot"]


async def test_media_are_told_apart_and_weighed() -> None:
    content = (
        ImagePart(b"12"),
        AudioPart(b"123"),
        VideoPart(data=b"1", has_sound=True),
        VideoPart(frames=(b"1", b"2"), fps=0.5),
        TextPart("hm"),
    )
    events = await run(
        Request(
            id=RequestId("req_1"),
            input=ChatInput(messages=(Message(role="user", content=content),)),
        )
    )
    assert text_of(events) == (
        "image 2 bytes\naudio 3 bytes\nvideo 1 bytes with sound\nvideo 2 frames at 0.5 fps\nhm"
    )
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.usage.media_tokens == 17


async def test_speech_is_a_beep_for_each_word() -> None:
    asked = msgspec.structs.replace(chat("two words"), speech=Speech(voice="aiden"))
    events = await run(asked)
    sound = b"".join(event.pcm for event in events if isinstance(event, AudioDelta))
    assert sound == beep("two ") + beep("words")
    assert len(sound) == 2 * 2 * BEEP_SAMPLES
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.usage.audio_tokens == 2


async def test_a_given_text_is_spoken_and_not_written() -> None:
    asked = Request(id=RequestId("r"), input=SayInput(text="two words"), speech=Speech())
    accepted, *sounds, finished = await run(asked)
    assert isinstance(accepted, Accepted)
    assert [event.pcm for event in sounds if isinstance(event, AudioDelta)] == [
        beep("two "),
        beep("words"),
    ]
    assert isinstance(finished, Finished)


@pytest.mark.parametrize(
    ("is_omni", "speech", "message"),
    [
        (True, None, "needs `speech`"),
        (True, Speech(voice="nobody"), "no voice 'nobody'; there are ethan"),
        (False, Speech(), "does not speak; ask for text alone"),
    ],
)
async def test_what_cannot_be_spoken_is_refused(
    is_omni: bool, speech: Speech | None, message: str
) -> None:
    asked = Request(id=RequestId("r"), input=SayInput(text="x"), speech=speech)
    (failed,) = [event async for event in EchoService(is_omni=is_omni).generate(asked)]
    assert isinstance(failed, Failed)
    assert message in failed.error.message


async def test_an_edit_comes_back_as_it_was() -> None:
    asked = EditInput(pictures=(b"one", b"two"), prompt="make it red", num_previews=1)
    request = Request(id=RequestId("r"), input=asked, num_choices=2)
    events = [event async for event in EchoService(is_editor=True).generate(request)]
    shown = [event for event in events if isinstance(event, PictureDelta)]
    assert [(p.index, p.preview_idx) for p in shown] == [(0, 0), (0, None), (1, 0), (1, None)]
    assert {p.data for p in shown} == {b"one"}
    assert [event.index for event in events[-2:]] == [0, 1]


async def test_an_edit_that_may_reuse_steps_is_told_that_none_were() -> None:
    asked = EditInput(pictures=(b"one",), prompt="x", num_steps=4, step_cache=0.1, num_previews=1)
    request = Request(id=RequestId("r"), input=asked)
    events = [event async for event in EchoService(is_editor=True).generate(request)]
    before, last = (event for event in events if isinstance(event, PictureDelta))
    assert before.reuse is None
    assert last.reuse == StepReuse(num_reused=0, num_steps=4, max_change=0.0, summed_change=0.0)


async def test_commands_work_in_the_prompt_of_an_edit() -> None:
    asked = EditInput(pictures=(b"one",), prompt="/refuse busy")
    request = Request(id=RequestId("r"), input=asked)
    (event,) = [event async for event in EchoService().generate(request)]
    assert isinstance(event, Failed)
    assert event.error.status == 429
