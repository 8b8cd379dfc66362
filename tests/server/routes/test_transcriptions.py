"""`/v1/audio/transcriptions` and `/v1/audio/translations`: the echo tells what it was asked."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest

from myna.core.echo import EchoService
from myna.media.encode import encode_wav
from myna.server.app import create_app

URL = "/v1/audio/transcriptions"
FILE = {"file": ("talk.wav", b"12345", "audio/wav")}
HEARD = "audio 5 bytes\nTranscribe the audio into text."


async def ask(client: httpx.AsyncClient, url: str = URL, **fields: Any) -> httpx.Response:
    return await client.post(url, data=fields, files=FILE)


async def test_a_transcription_is_json_unless_asked_otherwise(client: httpx.AsyncClient) -> None:
    assert (await ask(client, model="echo")).json() == {
        "text": HEARD,
        "usage": {"type": "tokens", "input_tokens": 8, "output_tokens": 8, "total_tokens": 16},
    }
    answer = await ask(client, response_format="text")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == f"{HEARD}\n"


async def test_language_and_context_are_part_of_the_question(client: httpx.AsyncClient) -> None:
    answer = await ask(client, language="zh", prompt=" Myna ", temperature="0.2")
    expected = "Transcribe the Chinese audio into text. Context: Myna"
    assert answer.json()["text"].splitlines()[1] == expected


async def test_a_transcription_may_be_bounded(client: httpx.AsyncClient) -> None:
    assert (await ask(client, max_completion_tokens="2")).json()["text"] == "audio 5"


async def test_a_translation_is_asked_for_in_english(client: httpx.AsyncClient) -> None:
    answer = await ask(client, "/v1/audio/translations")
    assert "translation in English text" in answer.json()["text"]


async def test_a_transcription_may_come_as_events(client: httpx.AsyncClient) -> None:
    answer = await ask(client, stream="true")
    events = answer.text.removesuffix("\n\n").split("\n\n")
    *deltas, done = [json.loads(event.removeprefix("data: ")) for event in events]
    assert "".join(delta["delta"] for delta in deltas) == done["text"] == HEARD
    assert done["type"] == "transcript.text.done"
    assert done["usage"]["output_tokens"] == 8


def talk() -> bytes:
    """Record two seconds of noise, one of silence, and three of noise."""
    random = np.random.default_rng(0)
    levels = np.repeat([0.1, 0.0, 0.1], np.array([2, 1, 3]) * 16_000)
    return encode_wav(levels * random.uniform(-1, 1, len(levels)), rate_hz=16_000)


async def ask_timed(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post(URL, data=fields, files={"file": ("x", talk())})


async def test_a_verbose_answer_tells_what_was_said_when(client: httpx.AsyncClient) -> None:
    answer = await ask_timed(client, response_format="verbose_json", language="en")
    body = answer.json()
    assert (body["task"], body["language"], body["duration"]) == ("transcribe", "english", 6.0)
    assert (body["segmentation"], "words" in body) == ("pauses", False)
    first, second = body["segments"]
    assert (first["start"], first["end"]) == pytest.approx((0.0, 2.15), abs=0.03)
    assert (second["start"], second["end"]) == pytest.approx((2.85, 6.0), abs=0.03)
    assert body["text"] == f"{first['text']} {second['text']}"
    assert first["text"].startswith("audio 69164 bytes")
    assert (first["id"], second["id"], second["seek"]) == (0, 1, 284)
    assert len(first["tokens"]) == 9
    assert first["avg_logprob"] == -0.5
    assert body["usage"]["output_tokens"] == 18


async def test_words_have_times_that_are_marked_as_approximate(client: httpx.AsyncClient) -> None:
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    body = (await ask_timed(client, **fields)).json()
    assert body["word_times"] == "approximate"
    words = body["words"]
    assert [word["word"] for word in words] == body["text"].split()
    times = [at_s for word in words for at_s in (word["start"], word["end"])]
    assert times == sorted(times)
    assert times[-1] <= 6.0


async def test_subtitles_are_written_as_srt_and_as_vtt(client: httpx.AsyncClient) -> None:
    answer = await ask_timed(client, response_format="srt")
    assert answer.headers["content-type"] == "application/x-subrip", answer.text
    first, second, rest = answer.text.split("\n\n")
    assert (first.split("\n")[0], second.split("\n")[0], rest) == ("1", "2", "")
    assert first.split("\n")[1].startswith("00:00:00,000 --> 00:00:02,1")
    answer = await ask_timed(client, response_format="vtt")
    assert answer.headers["content-type"] == "text/vtt; charset=utf-8"
    assert answer.text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:02.1")


async def test_segments_may_come_as_events(client: httpx.AsyncClient) -> None:
    answer = await ask_timed(client, response_format="verbose_json", stream="true")
    events = [json.loads(event.removeprefix("data: ")) for event in answer.text.split("\n\n")[:-1]]
    assert [event["type"].removeprefix("transcript.text.") for event in events] == [
        *("delta", "segment", "delta", "segment", "done")
    ]
    assert events[1]["text"] == events[0]["delta"]
    assert events[4]["text"] == events[0]["delta"] + events[2]["delta"]
    assert events[3]["start"] == pytest.approx(2.85, abs=0.03)


async def test_silence_has_no_words(client: httpx.AsyncClient) -> None:
    file = encode_wav(np.zeros(12_000), rate_hz=24_000)
    asked = {"data": {"response_format": "verbose_json"}, "files": {"file": ("x", file)}}
    body = (await client.post(URL, **asked)).json()
    assert (body["text"], body["segments"], body["duration"]) == ("", [], 0.5)
    assert body["usage"]["total_tokens"] == 0


async def test_an_answer_may_tell_how_sure_it_is(client: httpx.AsyncClient) -> None:
    body = (await ask(client, **{"include[]": "logprobs"})).json()
    assert "".join(token["token"] for token in body["logprobs"]) == body["text"]
    assert body["logprobs"][0]["logprob"] == -0.5
    events = (await ask(client, stream="true", **{"include[]": "logprobs"})).text.split("\n\n")
    assert json.loads(events[0][6:])["logprobs"][0]["token"] == "audio "


async def test_a_verbose_answer_needs_sound_that_can_be_read(client: httpx.AsyncClient) -> None:
    answer = await ask(client, response_format="verbose_json")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "diarized_json"}, "response_format"),
        ({"include": "poems"}, "include"),
        ({"timestamp_granularities[]": "letter"}, "timestamp_granularities"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "3"}, "temperature"),
        ({"stream": "maybe"}, "stream"),
        ({"language": "e; drop"}, "language"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
    ],
)
async def test_wrong_fields_are_named(
    client: httpx.AsyncClient, fields: dict[str, str], param: str
) -> None:
    answer = await ask(client, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("files", [{"file": ("x", b"")}, {"sound": ("x", b"1")}])
async def test_a_form_needs_its_file(client: httpx.AsyncClient, files: Any) -> None:
    answer = await client.post(URL, data={"model": "echo"}, files=files)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("The form has no `file`, or an empty one")


async def test_a_model_that_only_reads_hears_nothing() -> None:
    transport = httpx.ASGITransport(create_app(EchoService(is_omni=False)))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        answer = await ask(client)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "'echo' takes text, not sound."
