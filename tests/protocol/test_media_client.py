"""Media and speech through the real `openai` client, over a socket."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Iterator
from typing import Any

import av
import openai
import pytest

from myna.core.echo import RATE_HZ, EchoService, beep
from myna.core.errors import Unavailable
from myna.core.events import AudioDelta, Failed
from myna.server.settings import ServerSettings

BEEPS = beep("a ") + beep("b")
PICTURE = "data:image/png;base64," + base64.b64encode(b"12345").decode()
SPOKEN: Any = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}


@pytest.fixture
def client(live: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=live.url, api_key="EMPTY", max_retries=0) as client:
        yield client
    live.wait_idle()


def turn(*content: Any) -> list[Any]:
    return [{"role": "user", "content": list(content)}]


def words(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def test_pictures_and_sounds_are_sent(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="echo",
        messages=turn(
            {"type": "image_url", "image_url": {"url": PICTURE, "detail": "auto"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "video_url", "video_url": {"url": PICTURE}},
            words("what?"),
        ),
        extra_body={"mm_processor_kwargs": {"fps": 1, "use_audio_in_video": True}},
    )
    expected = "image 5 bytes\naudio 3 bytes\nvideo 5 bytes at 1 fps with sound\nwhat?"
    assert answer.choices[0].message.content == expected


def test_a_whole_answer_is_spoken(client: openai.OpenAI) -> None:
    wish = {**SPOKEN, "audio": {"voice": "aiden", "format": "wav"}}
    answer = client.chat.completions.create(model="echo", messages=turn(words("a b")), **wish)
    audio = answer.choices[0].message.audio
    assert audio is not None
    assert audio.transcript == answer.choices[0].message.content == "a b"
    with wave.open(io.BytesIO(base64.b64decode(audio.data))) as file:
        assert file.readframes(file.getnframes()) == BEEPS
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.audio_tokens == 2


@pytest.mark.parametrize("dialect", ["both", "openai", "qwen"])
def test_a_streamed_answer_is_spoken_while_it_is_written(
    client: openai.OpenAI, dialect: str
) -> None:
    stream = client.chat.completions.create(
        model="echo",
        messages=turn(words("a b")),
        stream=True,
        extra_body={"audio_dialect": dialect},
        **SPOKEN,
    )
    text, transcript, pcm, ids, ends = "", "", b"", [], []
    for chunk in stream:
        delta = chunk.choices[0].delta
        audio = delta.model_dump(exclude_unset=True).get("audio", {})
        text += delta.content or ""
        transcript += audio.get("transcript", "")
        pcm += base64.b64decode(audio.get("data", ""))
        ids += [audio["id"]] if "id" in audio else []
        ends += [audio["expires_at"]] if "expires_at" in audio else []
    assert text == ("" if dialect == "openai" else "a b")
    assert transcript == ("" if dialect == "qwen" else "a b")
    assert pcm == BEEPS
    assert (len(ids), len(ends)) == (1, 1)


def test_the_stream_helper_gathers_the_sound(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="echo", messages=turn(words("a b")), **SPOKEN
    ) as stream:
        final = stream.get_final_completion()
    audio = final.choices[0].message.audio
    assert audio is not None
    # Pieces are whole groups of three bytes, so their base64 may simply be joined.
    assert base64.b64decode(audio.data) == BEEPS
    assert (audio.transcript, final.choices[0].message.content) == ("a b", "a b")


def test_a_sound_is_transcribed_in_every_form(client: openai.OpenAI) -> None:
    heard = "audio 5 bytes\nTranscribe the English audio into text."
    wish: Any = {"model": "echo", "file": ("talk.wav", b"12345"), "language": "en"}
    answer = client.audio.transcriptions.create(**wish)
    assert answer.text == heard
    assert client.audio.transcriptions.create(**wish, response_format="text") == f"{heard}\n"
    events = list(client.audio.transcriptions.create(**wish, stream=True))
    assert "".join(event.delta for event in events[:-1]) == heard
    assert events[-1].type == "transcript.text.done"
    with pytest.warns(DeprecationWarning, match="deprecated"):
        translation = client.audio.translations.create(model="echo", file=("x.wav", b"12345"))
    assert translation.text.endswith("in English text.")


def test_a_text_is_spoken(client: openai.OpenAI) -> None:
    wish: Any = {"model": "echo", "voice": "nova", "input": "a b"}
    assert client.audio.speech.create(**wish, response_format="pcm").content == BEEPS
    with client.audio.speech.with_streaming_response.create(
        **wish, response_format="wav"
    ) as answer:
        file = answer.read()
    assert answer.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(file)) as sound:
        assert sound.getframerate() == RATE_HZ
    assert file.endswith(BEEPS)


@pytest.mark.parametrize("file_format", ["mp3", "opus", "aac", "flac"])
def test_a_text_is_spoken_in_every_format(client: openai.OpenAI, file_format: Any) -> None:
    wish: Any = {"model": "echo", "voice": "nova", "response_format": file_format, "speed": 0.5}
    data = client.audio.speech.create(**wish, input="a b c d e").content
    with av.open(io.BytesIO(data)) as file:
        num_samples = sum(frame.samples for frame in file.decode(audio=0))
        duration_s = num_samples / file.streams[0].rate
    assert duration_s == pytest.approx(5 * 2 * 0.08, abs=0.12)


@pytest.mark.parametrize("file_format", ["mp3", "opus", "aac", "flac", "wav"])
def test_the_stream_helper_gathers_compressed_sound(
    client: openai.OpenAI, file_format: Any
) -> None:
    wish: Any = {"modalities": ["text", "audio"], "audio": {"voice": "nova", "format": file_format}}
    with client.chat.completions.stream(
        model="echo",
        messages=turn(words("a b c d e")),
        extra_body={"audio_dialect": "openai"},
        **wish,
    ) as stream:
        final = stream.get_final_completion()
    audio = final.choices[0].message.audio
    assert audio is not None
    with av.open(io.BytesIO(base64.b64decode(audio.data, validate=True))) as file:
        num_samples = sum(frame.samples for frame in file.decode(audio=0))
        assert num_samples / file.streams[0].rate == pytest.approx(5 * 0.08, abs=0.1)


def test_formats_that_are_not_written_are_named(client: openai.OpenAI) -> None:
    wish: Any = {"model": "echo", "voice": "nova", "input": "x", "response_format": "mp4"}
    with pytest.raises(openai.BadRequestError, match="opus, aac, flac, not as 'mp4'"):
        client.audio.speech.create(**wish)


def test_speech_that_nobody_hears_is_given_up(slow: Any) -> None:
    with (
        openai.OpenAI(base_url=slow.url, api_key="EMPTY", max_retries=0) as client,
        client.audio.speech.with_streaming_response.create(
            model="echo", voice="nova", input="word " * 1000, response_format="pcm"
        ) as answer,
    ):
        next(answer.iter_bytes(100))
    slow.wait_idle()


def test_speech_that_breaks_off_is_no_whole_answer(serve: Any) -> None:
    class Failing(EchoService):
        async def generate(self, request: Any) -> Any:
            yield AudioDelta(index=0, pcm=BEEPS, rate_hz=RATE_HZ)
            yield Failed(error=Unavailable("gone").info())

    with (
        serve(Failing(), ServerSettings()) as live,
        openai.OpenAI(base_url=live.url, api_key="EMPTY", max_retries=0) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        client.audio.speech.create(model="echo", voice="nova", input="x", response_format="pcm")
