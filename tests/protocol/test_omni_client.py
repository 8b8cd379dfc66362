"""The real `openai` client and a real omni engine, tiny: it sees, hears, writes and speaks."""

from __future__ import annotations

import asyncio
import base64
import io
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from media_files import write_image
from myna.core.progress import silent
from myna.media.encode import encode_wav
from myna.models.tiny_omni import write_tiny_omni
from myna.pipeline.load import LoadOptions
from myna.pipeline.service import load_local_service
from myna.server.settings import ServerSettings

RATE_HZ = 24_000
PIXELS = np.random.default_rng(3).integers(0, 256, (64, 96, 3), dtype=np.uint8)
TALK = encode_wav(np.random.default_rng(4).normal(0, 0.1, 12_000), rate_hz=RATE_HZ)
PICTURE = "data:image/png;base64," + base64.b64encode(write_image(PIXELS)).decode()
MEDIA: list[Any] = [
    {"type": "image_url", "image_url": {"url": PICTURE}},
    {
        "type": "input_audio",
        "input_audio": {"data": base64.b64encode(TALK).decode(), "format": "wav"},
    },
    {"type": "video", "video": [PICTURE] * 4, "fps": 2},
    {"type": "text", "text": "what is this?"},
]
ASKED: dict[str, Any] = {
    "model": "omni",
    "messages": [{"role": "user", "content": MEDIA}],
    "max_tokens": 6,
    "temperature": 0,
    "seed": 1,
}
SPOKEN: dict[str, Any] = {
    "modalities": ["text", "audio"],
    "audio": {"voice": "aiden", "format": "pcm16"},
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, serve: Any) -> Iterator[openai.OpenAI]:
    folder: Path = write_tiny_omni(tmp_path_factory.mktemp("models") / "omni")
    options = LoadOptions(model_id="omni", dtype="float32", kv_memory_bytes=2**24)
    service = load_local_service(folder, options, silent)
    with (
        serve(service, ServerSettings()) as live,
        openai.OpenAI(base_url=live.url, api_key="EMPTY", max_retries=0) as client,
    ):
        yield client
    asyncio.run(service.close())


def test_the_model_says_what_it_takes_and_who_speaks(client: openai.OpenAI) -> None:
    (model,) = client.models.list()
    fields = model.model_dump()
    assert fields["modalities"] == {
        "input": ["text", "image", "audio", "video"],
        "output": ["text", "audio"],
    }
    assert set(fields["voices"]) == {"ethan", "chelsie", "aiden"}


def test_media_of_all_kinds_are_answered_alike_each_time(client: openai.OpenAI) -> None:
    first, second = (client.chat.completions.create(**ASKED) for _ in range(2))
    assert first.choices[0].message.content == second.choices[0].message.content
    assert first.usage is not None
    assert first.usage.prompt_tokens_details is not None
    assert first.usage.prompt_tokens_details.model_dump()["media_tokens"] > 10


def test_an_answer_to_media_is_spoken_as_it_is_written(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(**ASKED, **SPOKEN)
    audio = whole.choices[0].message.audio
    assert audio is not None
    chunks = list(client.chat.completions.create(**ASKED, **SPOKEN, stream=True))
    deltas = [chunk.choices[0].delta.model_dump(exclude_unset=True) for chunk in chunks]
    pcm = b"".join(base64.b64decode(delta.get("audio", {}).get("data", "")) for delta in deltas)
    text = "".join(delta.get("content", "") for delta in deltas)
    assert text == audio.transcript == whole.choices[0].message.content
    assert pcm == base64.b64decode(audio.data)
    assert len(pcm) > 2 * 1000
    assert whole.usage is not None
    assert whole.usage.completion_tokens_details is not None
    num_frames = whole.usage.completion_tokens_details.audio_tokens
    assert num_frames is not None
    assert len(pcm) == 2 * (1920 * num_frames - 555)


def test_a_sound_is_transcribed_and_measured(client: openai.OpenAI) -> None:
    brief = {"max_completion_tokens": 6}
    heard = client.audio.transcriptions.create(
        model="omni", file=("talk.wav", TALK), extra_body=brief
    )
    assert isinstance(heard.text, str)
    verbose = client.audio.transcriptions.create(
        model="omni", file=("talk.wav", TALK), response_format="verbose_json", extra_body=brief
    )
    assert verbose.duration == pytest.approx(0.5, abs=0.01)
    with pytest.raises(openai.BadRequestError, match="damaged, or of a kind"):
        client.audio.transcriptions.create(model="omni", file=("talk.wav", b"no sound at all"))


def test_a_text_is_spoken_alike_each_time(client: openai.OpenAI) -> None:
    files = [
        client.audio.speech.create(
            model="omni",
            voice="chelsie",
            input="hello",
            response_format="wav",
            extra_body={"seed": 5},
        ).content
        for _ in range(2)
    ]
    assert files[0] == files[1]
    with wave.open(io.BytesIO(files[0])) as sound:
        assert sound.getframerate() == RATE_HZ
    assert len(files[0]) > 2 * 1000
