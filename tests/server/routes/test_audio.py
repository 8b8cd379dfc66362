"""`/v1/audio/speech` and `/v1/audio/voices`."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from myna.core.echo import RATE_HZ, EchoService, beep
from myna.media.encode import wav_header
from myna.server.app import create_app

URL = "/v1/audio/speech"
BEEPS = beep("a ") + beep("b")


async def test_a_text_is_spoken_as_a_file(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        URL, json={"model": "echo", "input": "a b", "voice": "alloy", "response_format": "wav"}
    )
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.content == wav_header(rate_hz=RATE_HZ, num_samples=None) + BEEPS


async def test_a_text_is_spoken_as_bare_samples(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json={"input": "a b", "response_format": "pcm"})
    assert (answer.headers["content-type"], answer.content) == ("audio/pcm", BEEPS)


async def test_speech_may_come_as_events(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        URL, json={"input": "a b", "stream_format": "sse", "response_format": "pcm"}
    )
    events = answer.text.removesuffix("\n\n").split("\n\n")
    *deltas, done = [json.loads(event.removeprefix("data: ")) for event in events]
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(delta["audio"]) for delta in deltas) == BEEPS
    assert done == {
        "type": "speech.audio.done",
        "usage": {"type": "tokens", "input_tokens": 2, "output_tokens": 2, "total_tokens": 4},
    }


@pytest.mark.parametrize(
    ("file_format", "media_type", "start"),
    [
        (None, "audio/mpeg", b"ID3"),
        ("mp3", "audio/mpeg", b"ID3"),
        ("opus", "audio/ogg", b"OggS"),
        ("aac", "audio/aac", b"\xff\xf1"),
        ("flac", "audio/flac", b"fLaC"),
    ],
)
async def test_a_text_is_spoken_as_a_compressed_file(
    client: httpx.AsyncClient, file_format: str | None, media_type: str, start: bytes
) -> None:
    asked = {"input": "a b", "response_format": file_format}
    answer = await client.post(URL, json=asked)
    assert answer.headers["content-type"] == media_type
    assert answer.content.startswith(start)
    events = (await client.post(URL, json={**asked, "stream_format": "sse"})).text
    *deltas, _ = [json.loads(line.removeprefix("data: ")) for line in events.split("\n\n")[:-1]]
    pieces = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    # A file of Ogg bears a random number, and the sums that follow from it.
    assert len(pieces) == len(answer.content)


async def test_speech_may_be_slower(client: httpx.AsyncClient) -> None:
    asked = {"input": "a b", "response_format": "pcm", "speed": 0.5}
    answer = await client.post(URL, json=asked)
    assert len(answer.content) == pytest.approx(2 * len(BEEPS), rel=0.2)


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({}, "input", "`input` is missing"),
        ({"input": ""}, "input", "Invalid `input`"),
        ({"input": "x" * 65537}, "input", "Invalid `input`"),
        ({"input": "x", "voice": "nobody"}, "voice", "its voices are ethan, chelsie, aiden"),
        ({"input": "x", "response_format": "mp4"}, "response_format", "flac, not as 'mp4'"),
        ({"input": "x", "speed": 9}, "speed", "Invalid `speed`"),
        ({"input": "x", "instructions": "whisper"}, "instructions", "cannot change how"),
        ({"input": "x", "stream_format": "morse"}, "stream_format", "Invalid `stream_format`"),
    ],
)
async def test_what_cannot_be_spoken_is_refused(
    client: httpx.AsyncClient, fields: dict[str, Any], param: str, message: str
) -> None:
    answer = await client.post(URL, json=fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert message in error["message"]


async def test_voices_are_listed_with_their_aliases(client: httpx.AsyncClient) -> None:
    body = (await client.get("/v1/audio/voices")).json()
    assert (body["model"], body["voices"]) == ("echo", ["ethan", "chelsie", "aiden"])
    assert body["aliases"]["alloy"] == "ethan"
    assert (await client.get("/v1/audio/voices?model=nobody")).status_code == 404


async def test_a_model_that_only_writes_does_not_speak() -> None:
    transport = httpx.ASGITransport(create_app(EchoService(is_omni=False)))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        answer = await client.post(URL, json={"input": "x"})
        voices = (await client.get("/v1/audio/voices")).json()
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "'echo' has no voices; ask for text alone."
    assert (voices["voices"], voices["aliases"]) == ([], {})
