"""A voice call with a real omni engine, tiny: it hears, sees, answers aloud and is interrupted."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from websockets.sync.client import connect

from media_files import write_image
from myna.core.progress import silent
from myna.models.tiny_omni import write_tiny_omni
from myna.pipeline.load import LoadOptions
from myna.pipeline.service import load_local_service
from myna.server.settings import ServerSettings
from talk_sounds import pcm16, silence, vowels

RATE_HZ = 24_000
TIMEOUT_S = 30.0
SEED = 2


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, serve: Any) -> Iterator[Any]:
    """Serve a tiny omni model that draws the same in every run: some draws end before a sound."""
    folder = write_tiny_omni(tmp_path_factory.mktemp("models") / "omni")
    options = LoadOptions(model_id="omni", dtype="float32", kv_memory_bytes=2**24)
    service = load_local_service(folder, options, silent)
    with pytest.MonkeyPatch.context() as patch, serve(service, ServerSettings()) as live:
        patch.setattr(secrets, "randbits", lambda _num_bits: SEED)
        yield live
    asyncio.run(service.close())


class Line:
    """Hold one end of a call."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []

    def say(self, name: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": name, **fields}))

    def speak(self, *sounds: Any) -> None:
        data = pcm16(np.concatenate(sounds))
        for start in range(0, len(data), 4800):
            audio = base64.b64encode(data[start : start + 4800]).decode()
            self.say("input_audio_buffer.append", audio=audio)

    def until(self, name: str) -> dict[str, Any]:
        while True:
            event = json.loads(self.socket.recv(timeout=TIMEOUT_S))
            self.heard.append(event)
            assert event["type"] != "error", event
            if event["type"] == name:
                return event


@pytest.fixture
def line(live: Any) -> Iterator[Line]:
    """Call, and ask for short answers."""
    with connect(f"ws://127.0.0.1:{live.port}/v1/realtime?model=omni", close_timeout=2.0) as socket:
        line = Line(socket)
        session = {
            "type": "realtime",
            "max_output_tokens": 8,
            "audio": {"output": {"voice": "marin"}},
        }
        line.say("session.update", session=session)
        line.until("session.updated")
        yield line


def test_what_is_said_and_seen_is_answered_aloud(line: Line) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for _ in range(2):
        line.say("input_image_buffer.append", image=base64.b64encode(write_image(pixels)).decode())
    line.speak(vowels(1.0, rate_hz=RATE_HZ), silence(0.8, rate_hz=RATE_HZ))
    done = line.until("response.done")["response"]
    assert done["status"] in ("completed", "incomplete"), done
    assert done["usage"]["input_token_details"]["audio_tokens"] > 10
    sound = [event for event in line.heard if event["type"] == "response.output_audio.delta"]
    assert sum(len(event["delta"]) for event in sound) > 1000


def test_an_answer_is_interrupted_and_the_next_turn_answered(line: Line) -> None:
    session = {"type": "realtime", "max_output_tokens": 60}
    line.say("session.update", session=session)
    line.speak(vowels(0.8, rate_hz=RATE_HZ), silence(0.8, rate_hz=RATE_HZ))
    line.until("response.output_audio.delta")
    line.speak(vowels(0.8, rate_hz=RATE_HZ, seed=1), silence(0.8, rate_hz=RATE_HZ))
    first = line.until("response.done")["response"]
    line.say("session.update", session={"type": "realtime", "max_output_tokens": 4})
    assert first["status"] in ("cancelled", "completed", "incomplete")
    item_id = first["output"][0]["id"]
    line.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=10)
    line.until("conversation.item.truncated")
    assert line.until("response.done")["response"]["output"]
