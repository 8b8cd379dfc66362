"""`/v1/models`."""

from __future__ import annotations

import httpx

from myna.core.echo import EchoService
from myna.server.app import create_app
from myna.server.settings import ServerSettings

CARD = {
    "id": "echo",
    "object": "model",
    "created": 0,
    "owned_by": "myna",
    "modalities": {"input": ["text", "image", "audio", "video"], "output": ["text", "audio"]},
    "context_length": 1_000_000,
    "capabilities": [],
    "voices": ["ethan", "chelsie", "aiden"],
    "quantization": None,
    "size_bytes": None,
    "status": "loaded",
}


async def test_models_are_listed(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/models")).json() == {"object": "list", "data": [CARD]}


async def test_one_model_is_described(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/models/echo")).json() == CARD


async def test_an_alias_is_described_under_its_own_name() -> None:
    settings = ServerSettings(aliases={"org/parrot": "echo"})
    app = create_app(EchoService(), settings=settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        answer = await client.get("http://testserver/v1/models/org/parrot")
    assert answer.json() == {**CARD, "id": "org/parrot"}


async def test_an_unknown_model_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/models/other")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
