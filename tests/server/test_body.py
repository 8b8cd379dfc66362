"""Bodies: too large, too slow, compressed, or cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from myna.core.echo import EchoService
from myna.server.app import create_app
from myna.server.body import read_body
from myna.server.errors import ClientGone, Refused
from myna.server.limits import Gate
from myna.server.settings import Limits, ServerSettings

SMALL = Limits(max_body_bytes=1000, max_media_body_bytes=1000)


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


def request(receive: Callable[[], Awaitable[Message]]) -> Request:
    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


async def test_a_body_that_stalls_is_given_up() -> None:
    pieces = iter([b"{", b'"a"'])

    async def receive() -> Message:
        for piece in pieces:
            return {"type": "http.request", "body": piece, "more_body": True}
        return await asyncio.Future()

    gate = Gate(Limits(body_grace_s=0.02))
    with gate.admit() as ticket, pytest.raises(Refused, match=r"arrived too slowly") as error:
        await read_body(request(receive), ticket, max_bytes=1000)
    assert (error.value.status, gate.held_bytes) == (408, 0)


async def test_a_hang_up_within_a_body_is_told_from_its_end() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with (
        Gate(Limits()).admit() as ticket,
        pytest.raises(ClientGone, match=r"hung up before its request was read"),
    ):
        await read_body(request(receive), ticket, max_bytes=1000)
