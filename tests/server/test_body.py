"""Bodies: too large, too slow, compressed, or cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from myna.core.echo import EchoService
from myna.server.app import create_app
from myna.server.settings import Limits, ServerSettings

SMALL = Limits(max_body_bytes=1000)


def post(limits: Limits) -> httpx.AsyncClient:
    app = create_app(EchoService(), settings=ServerSettings(limits=limits))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver")


async def test_a_body_that_declares_too_much_is_refused() -> None:
    async with post(SMALL) as client:
        answer = await client.post("/v1/chat/completions", content=b" " * 1001)
    assert answer.status_code == 413
    assert answer.json()["error"] == {
        "message": "The body is larger than 1000 bytes; send less at once.",
        "type": "invalid_request_error",
        "param": None,
        "code": "request_too_large",
    }


async def test_a_body_that_grows_too_large_is_refused() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    async with post(SMALL) as client:
        answer = await client.post("/v1/chat/completions", content=pieces())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


async def test_a_compressed_body_is_refused() -> None:
    async with post(SMALL) as client:
        answer = await client.post(
            "/v1/chat/completions", content=b"x", headers={"content-encoding": "gzip"}
        )
    assert answer.status_code == 415
    assert answer.json()["error"]["message"].startswith("Compressed bodies are not taken")


async def test_a_large_body_is_read_like_a_small_one(client: httpx.AsyncClient) -> None:
    text = "word " * 100_000
    body = {"max_tokens": 1, "messages": [{"role": "user", "content": text}]}
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.json()["usage"]["prompt_tokens"] == 100_000
    broken = await client.post("/v1/chat/completions", content=b"{" + b" " * 500_000)
    assert broken.json()["error"]["code"] == "invalid_json"
