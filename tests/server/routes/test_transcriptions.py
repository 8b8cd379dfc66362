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
    *events, _ = answer.text.removesuffix("\n\n").split("\n\n")
    *deltas, done = [json.loads(event.removeprefix("data: ")) for event in events]
    assert "".join(delta["delta"] for delta in deltas) == done["text"] == HEARD
    assert done["type"] == "transcript.text.done"
    assert done["usage"]["output_tokens"] == 8


async def test_a_verbose_answer_tells_how_long_the_sound_lasts(client: httpx.AsyncClient) -> None:
    file = encode_wav(np.zeros(12_000), rate_hz=24_000)
    answer = await client.post(
        URL, data={"response_format": "verbose_json", "language": "en"}, files={"file": ("x", file)}
    )
    body = answer.json()
    assert (body["task"], body["language"], body["duration"]) == ("transcribe", "english", 0.5)
    assert body["text"].startswith("audio")


async def test_a_verbose_answer_needs_sound_that_can_be_read(client: httpx.AsyncClient) -> None:
    answer = await ask(client, response_format="verbose_json")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "srt"}, "response_format"),
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
