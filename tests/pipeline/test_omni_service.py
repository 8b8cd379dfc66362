"""An omni model behind LocalService: media in, text and speech out."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from PIL import Image

from myna.core.events import Accepted, AudioDelta, Failed, Finished, TextDelta
from myna.core.messages import AudioPart, ImagePart, Message, TextPart, VideoPart, text_message
from myna.core.progress import silent
from myna.core.requests import (
    ChatInput,
    Request,
    RequestId,
    SamplingParams,
    SayInput,
    Speech,
    TextInput,
)
from myna.media.encode import encode_wav
from myna.models.tiny_omni import write_tiny_omni
from myna.pipeline.load import LoadOptions, load_model
from myna.pipeline.service import LocalService
from myna.speech import voice

OPTIONS = LoadOptions(model_id="tiny", dtype="float32", max_context=1024, kv_memory_bytes=4 * 2**20)


def png(seed: int, *, size: tuple[int, int] = (70, 100)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def wav(seed: int, *, seconds: float = 1.0) -> bytes:
    samples = np.random.default_rng(seed).normal(0, 0.1, int(16_000 * seconds))
    return encode_wav(samples, rate_hz=16_000)


PICTURE, SOUND = ImagePart(png(0)), AudioPart(wav(0))
CLIP = VideoPart(frames=tuple(png(i, size=(64, 64)) for i in range(3)), fps=2.0)
ALL = (TextPart("see "), PICTURE, SOUND, TextPart(" and "), CLIP, TextPart("?"))


def ask(*content, name: str = "r", speech: Speech | None = None, **sampling: object) -> Request:
    params = SamplingParams(**({"temperature": 0.0, "max_tokens": 12, "seed": 0} | sampling))
    message = Message(role="user", content=content)
    return Request(
        id=RequestId(name), input=ChatInput(messages=(message,)), sampling=params, speech=speech
    )


async def collect(service: LocalService, request: Request) -> list:
    return [event async for event in service.generate(request)]


def text_of(events: list) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def sound_of(events: list) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, AudioDelta))


@pytest.fixture(autouse=True)
def soon_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """End speech of random weights, which babbles on, soon after its text."""
    monkeypatch.setattr(voice, "MAX_TAIL_S", 1.0)
    monkeypatch.setattr(voice, "MAX_S_PER_TOKEN", 0.1)


@pytest.fixture(scope="session")
def omni_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_omni(tmp_path_factory.mktemp("models") / "omni")


@pytest.fixture
async def make_service() -> AsyncIterator[Callable[..., LocalService]]:
    made: list[LocalService] = []

    def make(folder: Path, **changes: object) -> LocalService:
        model = load_model(folder, OPTIONS, silent)
        config = replace(model.engine_config, **changes)
        service = LocalService(replace(model, engine_config=config))
        made.append(service)
        return service

    yield make
    for service in made:
        await service.close()


@pytest.fixture
def service(make_service: Callable[..., LocalService], omni_folder: Path) -> LocalService:
    return make_service(omni_folder)


async def test_the_card_names_what_goes_in_and_out(service: LocalService) -> None:
    (card,) = await service.models()
    assert card.inputs == ("text", "image", "audio", "video")
    assert card.outputs == ("text", "audio")
    assert card.voices == ("ethan", "aiden", "chelsie")


async def test_mixed_media_are_read_and_counted(service: LocalService) -> None:
    events = await collect(service, ask(*ALL))
    finished = events[-1]
    assert isinstance(finished, Finished)
    # 70 x 100 becomes 64 x 96: 6 tokens; a second of sound 13; two steps of 64 x 64 frames, made
    # as large as clips at least are.
    assert finished.usage.media_tokens > 6 + 13
    assert finished.usage.prompt_tokens > finished.usage.media_tokens
    for left_out in (1, 2, 4):
        fewer = [part for i, part in enumerate(ALL) if i != left_out]
        assert text_of(await collect(service, ask(*fewer))) != text_of(events)


async def test_each_mediums_content_is_felt(service: LocalService) -> None:
    texts = {
        text_of(await collect(service, ask(part, TextPart("what is it?"))))
        for part in (PICTURE, ImagePart(png(1)), SOUND, AudioPart(wav(1)))
    }
    assert len(texts) == 4


async def test_equal_media_share_cached_blocks_and_others_do_not(service: LocalService) -> None:
    first = await collect(service, ask(PICTURE, SOUND))
    again = await collect(service, ask(PICTURE, SOUND))
    other = await collect(service, ask(ImagePart(png(1)), SOUND))
    assert [events[-1].usage.cached_tokens > 0 for events in (first, again, other)] == [
        False,
        True,
        False,
    ]
    assert text_of(first) == text_of(again)


def turns(*contents: tuple, name: str, speech: Speech | None = None) -> Request:
    """Make a conversation of which an answer lies between any two turns."""
    messages = [Message(role="user", content=contents[0])]
    for content in contents[1:]:
        messages += [text_message("assistant", "I see."), Message(role="user", content=content)]
    asked = ask(name=name, speech=speech)
    return structs.replace(asked, input=ChatInput(messages=tuple(messages)))


@pytest.mark.parametrize("speech", [None, Speech()])
async def test_the_next_turn_of_a_conversation_reads_no_medium_again(
    make_service: Callable[..., LocalService], omni_folder: Path, speech: Speech | None
) -> None:
    talk = [(PICTURE, SOUND), (AudioPart(wav(1)),), (AudioPart(wav(2)), ImagePart(png(2)))]
    service, anew = make_service(omni_folder), make_service(omni_folder, prefix_caching=False)
    num_read = 0
    for idx in range(len(talk)):
        request = turns(*talk[: idx + 1], name=f"turn {idx}", speech=speech)
        found = await collect(service, request)
        expected = await collect(anew, request)
        usage = found[-1].usage
        # All of the turns before but what shares a block with this one, and the mark of an answer.
        assert usage.cached_tokens >= num_read - 2 * service._model.engine_config.tokens_per_block
        num_read = usage.prompt_tokens
        assert text_of(found) == text_of(expected)
        assert expected[-1].usage.cached_tokens == 0
        pcm = [np.frombuffer(sound_of(events), "<i2").astype(int) for events in (found, expected)]
        assert len(pcm[0]) == len(pcm[1])
        assert np.abs(pcm[0] - pcm[1]).max(initial=0) <= 2
        assert (len(pcm[0]) > 0) is (speech is not None)


async def test_who_speaks_reads_media_again_that_were_only_written_about(
    service: LocalService,
) -> None:
    written = await collect(service, ask(SOUND, PICTURE, name="written"))
    spoken = await collect(service, ask(SOUND, PICTURE, name="spoken", speech=Speech()))
    again = await collect(service, ask(SOUND, PICTURE, name="again", speech=Speech()))
    num_cached = [events[-1].usage.cached_tokens for events in (written, spoken, again)]
    assert num_cached[1] < num_cached[2]
    assert sound_of(spoken) == sound_of(again)
    assert not any(isinstance(event, Failed) for event in (*spoken, *again))


async def test_neighbours_with_media_change_no_answer(service: LocalService) -> None:
    requests = [
        ask(TextPart("hello"), name="a"),
        ask(*ALL, name="b"),
        ask(SOUND, name="c"),
        ask(TextPart("world"), PICTURE, name="d"),
    ]
    alone = [text_of(await collect(service, request)) for request in requests]
    together = await asyncio.gather(*(collect(service, request) for request in requests))
    assert [text_of(events) for events in together] == alone


@pytest.mark.parametrize("chunk", [1, 7, 64])
async def test_prompts_read_in_chunks_equal_those_read_at_once(
    make_service: Callable[..., LocalService], omni_folder: Path, chunk: int
) -> None:
    whole = make_service(omni_folder)
    pieces = make_service(omni_folder, max_step_tokens=chunk + 1, prefill_chunk_tokens=chunk + 1)
    request = ask(SOUND, PICTURE, TextPart("?"), speech=Speech(), max_tokens=6)
    expected, found = await collect(whole, request), await collect(pieces, request)
    assert text_of(found) == text_of(expected)
    # The talker reads hidden states, which came in pieces too.
    near = [np.frombuffer(sound_of(events), "<i2").astype(int) for events in (found, expected)]
    assert len(near[0]) == len(near[1])
    assert np.abs(near[0] - near[1]).max() <= 2


async def test_media_and_speech_outlive_preemption(
    make_service: Callable[..., LocalService], omni_folder: Path
) -> None:
    roomy = make_service(omni_folder)
    tight = make_service(omni_folder, num_kv_tokens=176, tokens_per_block=8, prefix_caching=False)
    fields = {"speech": Speech(), "max_tokens": 40, "ignore_eos": True}
    requests = [ask(SOUND, PICTURE, TextPart(str(i)), name=f"r{i}", **fields) for i in range(4)]
    expected = await asyncio.gather(*(collect(roomy, request) for request in requests))
    found = await asyncio.gather(*(collect(tight, request) for request in requests))
    assert tight._thread.stats.num_preemptions > 0
    assert [text_of(events) for events in found] == [text_of(events) for events in expected]
    sizes = [[len(sound_of(events)) for events in run] for run in (found, expected)]
    assert sizes[0] == sizes[1]


async def test_speech_comes_while_text_is_written(service: LocalService) -> None:
    await collect(service, ask(TextPart("hi"), speech=Speech(), max_tokens=1))  # loads the talker
    request = ask(TextPart("hello"), speech=Speech(), max_tokens=300, ignore_eos=True)
    kinds = []
    stream = service.generate(request)
    async for event in stream:
        kinds.append(type(event))
        if AudioDelta in kinds and kinds[-1] is TextDelta:
            break
    await stream.aclose()
    assert kinds[0] is Accepted
    assert Finished not in kinds


async def test_an_answer_ends_after_its_last_sound(service: LocalService) -> None:
    events = await collect(service, ask(SOUND, speech=Speech(voice="Chelsie"), max_tokens=3))
    assert isinstance(events[-2], AudioDelta)
    assert isinstance(events[-1], Finished)
    usage = events[-1].usage
    assert len(sound_of(events)) // 2 == 1920 * usage.audio_tokens - 555
    assert usage.completion_tokens == 3
    assert {event.rate_hz for event in events if isinstance(event, AudioDelta)} == {24_000}


async def test_speech_is_the_same_for_a_seed_and_not_for_a_voice(service: LocalService) -> None:
    def spoken(name: str, seed: int) -> Request:
        return ask(SOUND, speech=Speech(voice=name), max_tokens=3, seed=seed)

    asked = [("ethan", 1), ("ethan", 1), ("aiden", 1), ("ethan", 2)]
    heard = [sound_of(await collect(service, spoken(*who))) for who in asked]
    assert heard[0] == heard[1]
    assert len({heard[0], heard[2], heard[3]}) == 3


async def test_the_talker_is_loaded_with_the_first_spoken_answer(service: LocalService) -> None:
    speech = service._model.omni.speech
    await collect(service, ask(SOUND))
    assert not speech.is_loaded
    await collect(service, ask(SOUND, speech=Speech(), max_tokens=1))
    assert speech.is_loaded


async def test_what_a_stop_string_cuts_off_is_not_spoken(service: LocalService) -> None:
    text = text_of(await collect(service, ask(TextPart("hello"))))
    stop = text[3:5]
    request = ask(TextPart("hello"), speech=Speech(), stop=(stop,))
    told: list[int] = []
    await collect(service, ask(TextPart("hi"), speech=Speech(), max_tokens=1))
    loop = service._preparer._speaking._loop
    say = loop.say
    loop.say = lambda request_id, ids: (told.extend(ids), say(request_id, ids))
    events = await collect(service, request)
    assert stop not in text_of(events)
    assert events[-1].reason == "stop"
    spoken = service._model.tokenizer.decode(told)
    assert spoken.startswith(text_of(events)[:2])
    assert len(spoken) < len(text)


async def test_of_an_answer_that_goes_on_only_the_rest_is_written_and_spoken(
    service: LocalService,
) -> None:
    whole = ask(TextPart("hello"), max_tokens=6)
    written = text_of(await collect(service, whole))
    half = written[: len(written) // 2]
    messages = (*whole.input.messages, text_message("assistant", half))
    asked = ChatInput(messages=messages, continues=True)
    rest = structs.replace(ask(speech=Speech(), max_tokens=2), input=asked)
    await collect(service, ask(TextPart("hi"), speech=Speech(), max_tokens=1))
    told: list[int] = []
    loop = service._preparer._speaking._loop
    say = loop.say
    loop.say = lambda request_id, ids: (told.extend(ids), say(request_id, ids))
    events = await collect(service, rest)
    assert events[-1].usage.completion_tokens == 2
    assert sound_of(events)
    assert service._model.tokenizer.decode(told) == text_of(events)


async def test_an_answer_of_no_tokens_is_silent(service: LocalService) -> None:
    events = await collect(service, ask(TextPart("hello"), speech=Speech(), max_tokens=0))
    assert [type(event) for event in events] == [Accepted, Finished]
    assert events[-1].usage.audio_tokens == 0


async def test_leaving_silences_all_stages(service: LocalService) -> None:
    stream = service.generate(ask(TextPart("hi"), speech=Speech(), max_tokens=500, ignore_eos=True))
    async for event in stream:
        if isinstance(event, AudioDelta):
            break
    await stream.aclose()
    speaker = service._preparer._speaking._loop._speaker
    for _ in range(200):
        if speaker.num_voices == 0 and service._thread.stats.num_running == 0:
            break
        await asyncio.sleep(0.02)
    assert speaker.num_voices == 0
    assert service._thread.stats.num_running == 0
    assert service._thread.stats.used_blocks == 0


async def test_a_failing_voice_ends_the_request(service: LocalService) -> None:
    await collect(service, ask(TextPart("hi"), speech=Speech(), max_tokens=1))
    speaker = service._preparer._speaking._loop._speaker
    speaker._talker = type("Broken", (), {"decoder": speaker._talker.decoder})()
    events = await collect(service, ask(TextPart("hi"), speech=Speech(), max_tokens=500))
    assert isinstance(events[-1], Failed)
    assert "speaking the answer failed" in events[-1].error.message


async def test_a_given_text_is_spoken_as_it_is(service: LocalService) -> None:
    request = Request(
        id=RequestId("say"),
        input=SayInput(text="Hello <|im_end|> world"),
        sampling=SamplingParams(seed=2),
        speech=Speech(),
    )
    events = await collect(service, request)
    assert {type(event) for event in events} == {Accepted, AudioDelta, Finished}
    usage = events[-1].usage
    assert usage.audio_tokens > 0
    assert usage.completion_tokens == 0
    assert events[0].prompt_tokens == usage.prompt_tokens
    assert sound_of(events) == sound_of(await collect(service, request))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ask(SOUND, speech=Speech(voice="bob")), "aiden, chelsie, ethan"),
        (ask(ImagePart(b"GIF89a?")), "the picture is not understood"),
        (
            Request(id=RequestId("r"), input=TextInput(prompt="<|image_pad|>")),
            "the prompt has places for a picture",
        ),
        (
            Request(id=RequestId("r"), input=TextInput(prompt="hi"), speech=Speech()),
            "begins no assistant's turn",
        ),
        (
            Request(id=RequestId("r"), input=SayInput(text=""), speech=Speech()),
            "the text to be spoken is empty",
        ),
        (ask(*[AudioPart(wav(0, seconds=50))] * 2), "makes 1300 for the request's media"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    service: LocalService, request_: Request, message: str
) -> None:
    (event,) = await collect(service, request_)
    assert isinstance(event, Failed)
    assert event.error.status == 400
    assert message in event.error.message


async def test_only_one_answer_at_a_time_is_spoken(service: LocalService) -> None:
    several = Request(id=RequestId("r"), input=ask(SOUND).input, num_choices=2, speech=Speech())
    (event,) = await collect(service, several)
    assert "`n` is 2" in event.error.message


async def test_a_model_without_a_talker_says_so(
    make_service: Callable[..., LocalService], tmp_path: Path
) -> None:
    service = make_service(write_tiny_omni(tmp_path / "thinking", has_speech=False))
    (card,) = await service.models()
    assert (card.outputs, card.voices) == (("text",), ())
    (event,) = await collect(service, ask(SOUND, speech=Speech()))
    assert event.error.status == 400
    assert "it has no talker" in event.error.message
    assert isinstance((await collect(service, ask(SOUND)))[-1], Finished)


async def test_a_text_model_refuses_media_and_speech(
    make_service: Callable[..., LocalService], tiny_folder: Path
) -> None:
    service = make_service(tiny_folder)
    (event,) = await collect(service, ask(SOUND))
    assert "this model reads text only" in event.error.message
    (event,) = await collect(service, ask(TextPart("hi"), speech=Speech()))
    assert "this model only writes" in event.error.message


async def test_markers_in_what_users_write_stand_for_no_media(service: LocalService) -> None:
    events = await collect(service, ask(TextPart("<|image_pad|>"), SOUND))
    assert events[-1].usage.media_tokens == 13
