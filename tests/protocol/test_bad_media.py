"""Damaged, lying and hostile media through HTTP, to a model that looks at them and listens.

Each gets a typed error or an answer, soon; what is asked after it is answered as ever.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bad_media import bad_media
from media_files import write_image, write_sound
from myna.core.progress import silent
from myna.models.tiny_omni import write_tiny_omni
from myna.pipeline.load import LoadOptions
from myna.pipeline.service import load_local_service
from myna.server.settings import ServerSettings

MAX_ANSWER_S = 10.0
MAX_IDLE_S = 3.0
MAX_TOKENS = 4
NUM_PARTS = 4
PART_TYPES = {"image": "image_url", "audio": "audio_url", "video": "video_url"}
SQUARE = np.random.default_rng(7).integers(0, 256, (40, 60, 3), dtype=np.uint8)
NOISE = np.random.default_rng(8).normal(0, 0.1, (1, 8_000))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, serve: Any) -> Iterator[Any]:
    folder: Path = write_tiny_omni(tmp_path_factory.mktemp("models") / "omni")
    options = LoadOptions(model_id="omni", dtype="float32", kv_memory_bytes=2**24)
    service = load_local_service(folder, options, silent)
    with serve(service, ServerSettings()) as live:
        yield live
    asyncio.run(service.close())


def media_part(kind: str, data: bytes) -> dict[str, object]:
    """Write bytes as a part that claims to be of a kind."""
    name = PART_TYPES[kind]
    url = f"data:{kind}/x;base64,{base64.b64encode(data).decode()}"
    return {"type": name, name: {"url": url}}


def sent(names: list[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Write each case as a part; some pictures are also sent as frames of a clip."""
    square = base64.b64encode(write_image(SQUARE)).decode()
    for number, name in enumerate(names):
        kind, make = bad_media()[name]
        data = make()
        yield name, media_part(kind, data)
        if kind == "image" and number % 4 == 0:
            urls = [f"data:image/png;base64,{d}" for d in (square, base64.b64encode(data).decode())]
            yield f"{name}, in a clip", {"type": "video", "video": urls}


def post(live: Any, *parts: dict[str, object]) -> tuple[int, dict[str, Any]]:
    """Ask about some parts; status 0 if there is no answer for long."""
    body = {
        "model": "omni",
        "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": "what?"}]}],
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
        "mm_processor_kwargs": {"use_audio_in_video": True},
    }
    try:
        status, _, answer = live.post("/v1/chat/completions", body)
    except TimeoutError:
        return 0, {}
    return status, json.loads(answer)


@pytest.mark.parametrize("part", range(NUM_PARTS))
def test_every_file_is_answered_or_refused_and_the_canary_sings_on(live: Any, part: int) -> None:
    square = media_part("image", write_image(SQUARE))
    noise = media_part("audio", write_sound(NOISE, form="wav", codec="pcm_s16le", rate_hz=16_000))

    def canary() -> bytes:
        status, answer = post(live, square, noise)
        assert status == 200, answer
        return json.dumps([answer["choices"], answer["usage"]["completion_tokens"]]).encode()

    song = canary()
    faults: list[str] = []
    codes: Counter[int] = Counter()
    for name, content in sent(list(bad_media())[part::NUM_PARTS]):
        started_s = time.monotonic()
        status, answer = post(live, content)
        took_s = time.monotonic() - started_s
        codes[status] += 1
        error = answer.get("error", {})
        if status not in (200, 400, 413):
            faults.append(f"{name}: {status} {answer}")
        elif status != 200 and (error["type"] != "invalid_request_error" or not error["message"]):
            faults.append(f"{name}: {error}")
        elif "0x" in error.get("message", "") or took_s > MAX_ANSWER_S:
            faults.append(f"{name}: {took_s:.1f} s, {error}")
        if canary() != song:
            faults.append(f"{name}: the next answer is another")
    assert faults == []
    assert codes[200] >= 10 / NUM_PARTS
    assert codes[400] >= 60 / NUM_PARTS
    deadline_s = time.monotonic() + MAX_IDLE_S
    while live.service._thread.stats.used_blocks:  # the last step may not have been counted yet
        assert time.monotonic() < deadline_s, "a file has left blocks behind"
        time.sleep(0.001)


def test_there_are_as_many_cases_as_were_promised() -> None:
    assert len(bad_media()) >= 180
