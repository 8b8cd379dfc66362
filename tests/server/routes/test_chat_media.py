"""`/v1/chat/completions` with media in and speech out, in every dialect."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from myna.core.echo import RATE_HZ, EchoService, beep
from myna.server.app import create_app
from myna.server.settings import Limits, ServerSettings

Chat = Callable[..., dict[str, Any]]
URL = "/v1/chat/completions"
DATA_URL = "data:image/png;base64," + base64.b64encode(b"12345").decode()
SPOKEN = {"modalities": ["text", "audio"]}
BEEPS = beep("a ") + beep("b")


async def deltas(client: httpx.AsyncClient, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.post(URL, json={**body, "stream": True})
    *events, _ = answer.text.removesuffix("\n\n").split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]


def sound_of(parts: list[dict[str, Any]]) -> bytes:
    return b"".join(
        base64.b64decode(delta["audio"]["data"])
        for delta in parts
        if "data" in delta.get("audio", {})
    )


async def test_media_reach_the_model(client: httpx.AsyncClient) -> None:
    content = [
        {"type": "image_url", "image_url": {"url": DATA_URL}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "video", "video": [DATA_URL, DATA_URL], "fps": 2},
        {"type": "text", "text": "what is this?"},
    ]
    answer = await client.post(URL, json={"messages": [{"role": "user", "content": content}]})
    text = answer.json()["choices"][0]["message"]["content"]
    assert text == "image 5 bytes\naudio 3 bytes\nvideo 2 frames at 2 fps\nwhat is this?"
    assert answer.json()["usage"]["prompt_tokens_details"]["media_tokens"] == 12


async def test_a_whole_spoken_answer_holds_a_file(client: httpx.AsyncClient, chat: Chat) -> None:
    answer = (await client.post(URL, json=chat("a b", **SPOKEN))).json()
    message = answer["choices"][0]["message"]
    audio = message["audio"]
    assert (message["content"], audio["transcript"]) == ("a b", "a b")
    assert audio["id"].startswith("audio_")
    assert audio["expires_at"] == answer["created"]
    assert message["audio_metadata"] == {
        "format": "wav",
        "sample_rate_hz": RATE_HZ,
        "channels": 1,
    }
    with wave.open(io.BytesIO(base64.b64decode(audio["data"]))) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE_HZ, 1)
        assert file.readframes(file.getnframes()) == BEEPS
    assert answer["usage"]["completion_tokens_details"]["audio_tokens"] == 2
    assert answer["usage"]["completion_tokens"] == 4


async def test_a_whole_answer_may_be_bare_samples(client: httpx.AsyncClient, chat: Chat) -> None:
    wish = {"audio": {"voice": "aiden", "format": "pcm16"}, "audio_dialect": "openai"}
    answer = (await client.post(URL, json=chat("a b", **SPOKEN, **wish))).json()
    message = answer["choices"][0]["message"]
    assert message["content"] is None
    assert base64.b64decode(message["audio"]["data"]) == BEEPS


@pytest.mark.parametrize(
    ("dialect", "has_content", "has_transcript"),
    [("both", True, True), ("openai", False, True), ("qwen", True, False)],
)
async def test_a_streamed_spoken_answer_in_each_dialect(
    client: httpx.AsyncClient, chat: Chat, dialect: str, has_content: bool, has_transcript: bool
) -> None:
    wish = {"audio": {"format": "pcm16"}, "extra_body": {"audio_dialect": dialect}}
    first, *parts, last, end = await deltas(client, chat("a b", **SPOKEN, **wish))
    assert first["role"] == "assistant"
    assert first["audio"]["id"].startswith("audio_")
    assert list(last["audio"]) == ["expires_at"]
    assert end == {}
    text = "".join(delta.get("content", "") for delta in parts)
    transcript = "".join(delta.get("audio", {}).get("transcript", "") for delta in parts)
    assert text == ("a b" if has_content else "")
    assert transcript == ("a b" if has_transcript else "")
    assert sound_of(parts) == BEEPS
    described = [delta["audio_metadata"] for delta in parts if "audio_metadata" in delta]
    assert described == [{"format": "pcm16", "sample_rate_hz": RATE_HZ, "channels": 1}]
    kinds = ["data" in delta.get("audio", {}) for delta in parts]
    assert kinds == [False, True, False, True]


async def test_a_streamed_file_has_a_header_in_openais_dialect_alone(
    client: httpx.AsyncClient, chat: Chat
) -> None:
    for dialect in ("both", "qwen", "openai"):
        wish = {"audio": {"format": "wav"}, "audio_dialect": dialect}
        sound = sound_of(await deltas(client, chat("a b", **SPOKEN, **wish)))
        assert sound.startswith(b"RIFF") == (dialect == "openai")
        assert sound.endswith(BEEPS)


async def test_every_choice_has_a_sound_of_its_own(client: httpx.AsyncClient, chat: Chat) -> None:
    choices = (await client.post(URL, json=chat("a b", n=2, **SPOKEN))).json()["choices"]
    assert len({choice["message"]["audio"]["id"] for choice in choices}) == 2
    assert len({choice["message"]["audio"]["data"] for choice in choices}) == 1


async def test_bodies_may_be_larger_where_media_are_taken(chat: Chat) -> None:
    limits = Limits(max_body_bytes=1000, max_media_body_bytes=5000)
    statuses = {}
    for is_omni in (True, False):
        app = create_app(EchoService(is_omni=is_omni), settings=ServerSettings(limits=limits))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            statuses[is_omni] = (await client.post(URL, json=chat("x" * 2000))).status_code
            assert (await client.post(URL, json=chat("x" * 5000))).status_code == 413
            raw = {"model": "echo", "prompt": "x" * 2000}
            assert (await client.post("/v1/completions", json=raw)).status_code == 413
    assert statuses == {True: 200, False: 413}
