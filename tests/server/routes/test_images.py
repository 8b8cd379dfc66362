"""`/v1/images/...`, answered by an echo that edits nothing."""

from __future__ import annotations

import base64
import json

import httpx
import msgspec
import pytest
from openai import AsyncOpenAI

from myna.core.echo import EchoService
from myna.core.events import PictureDelta, StepReuse
from myna.server.app import create_app

PNG = b"\x89PNG\r\n\x1a\nrest"
URL = "/v1/images/edits"


def client(service: EchoService) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=create_app(service))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


@pytest.fixture
async def ask():
    async with client(EchoService(is_editor=True)) as made:
        yield made


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def events(text: str) -> list[dict[str, object]]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_a_form_with_one_picture_is_edited(ask) -> None:
    answer = await ask.post(URL, data={"prompt": "make it red"}, files={"image": PNG})
    body = answer.json()
    assert answer.status_code == 200
    assert base64.b64decode(body["data"][0]["b64_json"]) == PNG
    assert (body["output_format"], body["size"]) == ("png", "1x1")
    assert body["usage"] == {
        "input_tokens": 4,
        "input_tokens_details": {"image_tokens": 1, "text_tokens": 3},
        "output_tokens": 0,
        "total_tokens": 4,
    }


async def test_a_form_may_hold_several_pictures_and_a_mask(ask) -> None:
    files = [("image[]", ("a.png", PNG)), ("image[]", ("b.png", PNG)), ("mask", ("m.png", PNG))]
    answer = await ask.post(URL, data={"prompt": "join them", "n": "2"}, files=files)
    body = answer.json()
    assert len(body["data"]) == 2
    assert body["usage"]["input_tokens_details"]["image_tokens"] == 2


@pytest.mark.parametrize(
    "pictures",
    [
        {"image": data_url(PNG)},
        {"image": [base64.b64encode(PNG).decode()]},
        {"images": [{"image_url": data_url(PNG)}]},
        {"images": [data_url(PNG)], "mask": {"image_url": data_url(PNG)}},
    ],
)
async def test_json_holds_pictures_in_several_ways(ask, pictures) -> None:
    answer = await ask.post(URL, json={"prompt": "x", **pictures})
    assert base64.b64decode(answer.json()["data"][0]["b64_json"]) == PNG


async def test_a_stream_tells_progress_previews_and_the_end(ask) -> None:
    body = {"prompt": "x", "image": data_url(PNG), "stream": True, "partial_images": 2, "n": 2}
    answer = await ask.post(URL, json=body)
    found = events(answer.text)
    kinds = [event["type"].removeprefix("image_edit.") for event in found]
    assert kinds == ["progress", "partial_image", "partial_image"] * 2 + ["completed"] * 2
    assert found[0]["remaining_s"] == 1.0
    assert [event["partial_image_index"] for event in found[1:3]] == [0, 1]
    assert [event["index"] for event in found[-2:]] == [0, 1]
    assert base64.b64decode(found[-1]["b64_json"]) == PNG
    assert found[-1]["usage"]["total_tokens"] == 2


async def test_generations_are_refused_with_the_reason(ask) -> None:
    answer = await ask.post("/v1/images/generations", json={"prompt": "a cat"})
    assert answer.status_code == 400
    assert "changes pictures" in answer.json()["error"]["message"]


async def test_a_model_that_writes_is_no_editor() -> None:
    async with client(EchoService()) as made:
        answer = await made.post(URL, json={"prompt": "x", "image": data_url(PNG)})
    assert answer.status_code == 400
    assert "does not edit pictures" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("changes", "param", "message"),
    [
        ({"image": None}, "image", "There is no `image`"),
        ({"image": ""}, "images.0", ""),
        ({"image": "https://example.com/a.png"}, "images.0", "not fetched"),
        ({"image": "no base64!"}, "images.0", "base64"),
        ({"prompt": ""}, "prompt", "prompt"),
        ({"size": "large"}, "size", "size"),
        ({"n": 11}, "n", "<= 10"),
        ({"response_format": "url"}, "response_format", "sent as `b64_json`"),
        ({"background": "transparent"}, "background", "opaque"),
        ({"partial_images": 4}, "partial_images", "<= 3"),
        ({"guidance": 0.5}, "guidance", ">= 1"),
        ({"step_cache": 1.5}, "step_cache", "<= 1"),
    ],
)
async def test_what_is_wrong_is_named(ask, changes, param, message) -> None:
    body = {"prompt": "x", "image": data_url(PNG)} | changes
    answer = await ask.post(URL, json={k: v for k, v in body.items() if v is not None})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert message in error["message"]


async def test_an_empty_file_is_no_picture(ask) -> None:
    answer = await ask.post(URL, data={"prompt": "x"}, files={"image": b""})
    assert answer.json()["error"]["param"] == "image"


async def test_the_openai_client_edits(ask) -> None:
    made = AsyncOpenAI(api_key="x", base_url="http://127.0.0.1/v1", http_client=ask)
    files = [("a.png", PNG), ("b.png", PNG)]
    answer = await made.images.edit(image=files, prompt="x", mask=("m.png", PNG), model="echo")
    assert base64.b64decode(answer.data[0].b64_json) == PNG
    stream = await made.images.edit(
        image=("a.png", PNG), prompt="x", model="echo", stream=True, partial_images=1
    )
    kinds = [event.type async for event in stream]
    assert kinds[-2:] == ["image_edit.partial_image", "image_edit.completed"]


async def test_wishes_reach_the_model() -> None:
    asked = []

    class Listening(EchoService):
        def generate(self, request):
            asked.append(request)
            return super().generate(request)

    fields = {
        "prompt": "x",
        "size": "640x480",
        "steps": "8",
        "guidance": "1",
        "seed": "5",
        "negative_prompt": "blurred",
        "work_px": "250000",
        "step_cache": "0.1",
        "align": "false",
        "output_format": "webp",
        "output_compression": "70",
    }
    async with client(Listening(is_editor=True)) as made:
        await made.post(URL, data=fields, files={"image": PNG})
    edit = asked[0].input
    assert asked[0].sampling.seed == 5
    assert (edit.size, edit.num_steps, edit.guidance) == ((640, 480), 8, 1.0)
    assert (edit.negative_prompt, edit.work_px, edit.is_aligned) == ("blurred", 250_000, False)
    assert edit.step_cache == 0.1
    assert (edit.file_format, edit.quality) == ("webp", 70)


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_reused_steps_are_told(is_streamed: bool) -> None:
    found = StepReuse(num_reused=12, num_steps=40, max_change=0.08123456, summed_change=0.5)

    class Reusing(EchoService):
        async def generate(self, request):
            async for event in super().generate(request):
                is_picture = isinstance(event, PictureDelta) and event.preview_idx is None
                yield msgspec.structs.replace(event, reuse=found) if is_picture else event

    body = {"prompt": "x", "image": data_url(PNG), "stream": is_streamed, "partial_images": 1}
    async with client(Reusing(is_editor=True)) as made:
        answer = await made.post(URL, json=body)
    *before, last = events(answer.text) if is_streamed else answer.json()["data"]
    assert last["reuse"] == {
        "reused_steps": 12,
        "steps": 40,
        "max_change": 0.08123,
        "summed_change": 0.5,
    }
    assert not any("reuse" in event for event in before)
