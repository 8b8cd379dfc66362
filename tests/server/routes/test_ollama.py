"""Ollama's interface: chats, continuations, lists, fetching."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from myna.core.echo import EchoService
from myna.core.fleet import Fleet
from myna.server.app import App, create_app
from myna.server.settings import ServerSettings
from shelf import EchoProcess, Shelf

TOOL = {"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}


def turn(text: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text, **fields}]


async def lines(client: httpx.AsyncClient, path: str, **fields: Any) -> list[dict[str, Any]]:
    answer = await client.post(f"/api/{path}", json={"model": "echo", **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def whole(client: httpx.AsyncClient, path: str, **fields: Any) -> dict[str, Any]:
    body = {"model": "echo", "stream": False, **fields}
    answer = await client.post(f"/api/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_chat_comes_in_lines(client: httpx.AsyncClient) -> None:
    *pieces, end = await lines(client, "chat", messages=turn("/think hm\nhello world"))
    assert [piece["message"].get("thinking") for piece in pieces] == ["hm", None, None]
    assert "".join(piece["message"]["content"] for piece in pieces) == "hello world"
    assert all(piece["done"] is False and piece["model"] == "echo" for piece in pieces)
    assert (end["done"], end["done_reason"], end["message"]["content"]) == (True, "stop", "")
    assert (end["prompt_eval_count"], end["eval_count"]) == (4, 3)
    assert end["created_at"].endswith("Z")
    assert end["total_duration"] > 0


async def test_a_chat_may_come_whole(client: httpx.AsyncClient) -> None:
    answer = await whole(
        client,
        "chat",
        model="echo:latest",
        messages=turn('/think hm\n/call get {"a": 1}\nhello world'),
        tools=[TOOL],
        think=True,
        format="json",
        options={"num_predict": 1, "stop": ["x"], "top_k": -1},
    )
    assert (answer["model"], answer["done_reason"]) == ("echo:latest", "stop")
    message = answer["message"]
    assert (message["content"], message["thinking"]) == ("hello ", "hm")
    assert message["tool_calls"][0]["function"] == {"name": "get", "arguments": {"a": 1}}


async def test_calls_come_before_the_end(client: httpx.AsyncClient) -> None:
    *_, calls, end = await lines(client, "chat", messages=turn("/call get {oops"), tools=[TOOL])
    called = calls["message"]["tool_calls"][0]["function"]
    assert called == {"name": "get", "arguments": {"arguments": "{oops"}}
    assert end["done"] is True


async def test_turns_with_tools_and_pictures_are_taken(client: httpx.AsyncClient) -> None:
    picture = base64.b64encode(b"12345").decode()
    call = {"function": {"name": "get", "arguments": {"a": 1}}}
    answer = await whole(
        client,
        "chat",
        messages=[
            {"role": "system", "content": "rules"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": "rain", "tool_name": "get"},
            *turn("look", images=[picture]),
        ],
    )
    assert answer["message"]["content"] == "image 5 bytes\nlook"


async def test_a_prompt_is_continued(client: httpx.AsyncClient) -> None:
    *pieces, end = await lines(client, "generate", prompt="/think hm\nhello world")
    assert [piece.get("thinking") for piece in pieces] == ["hm", None, None]
    assert "".join(piece["response"] for piece in pieces) == "hello world"
    assert (end["done"], end["response"]) == (True, "")
    asked: dict[str, Any] = {"prompt": "a b c", "raw": True, "options": {"num_predict": 2}}
    answer = await whole(client, "generate", **asked)
    assert (answer["response"], answer["done_reason"]) == ("a b ", "length")
    answer = await whole(client, "generate", prompt="a", system="rules", format={"type": "object"})
    assert answer["response"] == "a"


async def test_asking_nothing_tells_that_the_model_is_there(client: httpx.AsyncClient) -> None:
    for path in ("chat", "generate"):
        answer = (await client.post(f"/api/{path}", json={"model": "echo"})).json()
        assert (answer["done"], answer["done_reason"]) == (True, "load")


async def test_errors_are_in_ollamas_words(client: httpx.AsyncClient) -> None:
    for path, body, status, message in (
        ("chat", {}, 400, "`model` is missing"),
        ("chat", {"model": "nobody"}, 404, "The model 'nobody' is not served here"),
        ("chat", {"model": "echo", "messages": turn("/refuse full")}, 429, "full"),
        ("generate", {"model": "echo", "prompt": "x", "suffix": "y"}, 400, "`suffix`"),
        ("show", {}, 400, "`model` is missing"),
        ("embed", {"model": "echo", "input": "x"}, 400, "it makes no embeddings"),
        ("pull", {"model": "x"}, 400, "the model it was started with"),
        ("nothing", {}, 404, "Nothing is served at"),
    ):
        answer = await client.post(f"/api/{path}", json=body)
        assert answer.status_code == status, path
        assert list(answer.json()) == ["error"]
        assert message in answer.json()["error"]
    (*_, last) = await lines(client, "chat", messages=turn("hello\n/fail broken"))
    assert last == {"error": "broken"}


async def test_a_key_is_wanted_in_ollamas_words_too() -> None:
    app = create_app(EchoService(), settings=ServerSettings(api_keys=("k",)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        answer = await client.get("http://testserver/api/tags")
    assert answer.status_code == 401
    assert answer.json()["error"].startswith("Incorrect API key")


async def test_what_is_loaded_is_listed_and_shown(client: httpx.AsyncClient) -> None:
    (tag,) = (await client.get("/api/tags")).json()["models"]
    assert (tag["name"], tag["details"]["family"], len(tag["digest"])) == ("echo", "echo", 64)
    (loaded,) = (await client.get("/api/ps")).json()["models"]
    assert loaded["expires_at"].startswith("9999")
    shown = (await client.post("/api/show", json={"name": "echo:latest"})).json()
    assert shown["capabilities"] == ["completion", "tools", "vision", "audio"]
    assert shown["model_info"]["echo.context_length"] == 1_000_000
    assert (await client.get("/api/version")).json()["server"].startswith("myna ")


async def test_a_model_without_a_template_only_continues(service: EchoService) -> None:
    service.card = msgspec.structs.replace(service.card, has_chat_template=False)
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        assert (await whole(client, "generate", prompt="a b"))["response"] == "a b"
        body = {"model": "echo", "messages": turn("a")}
        answer = await client.post("/api/chat", json=body)
    assert "has no chat template; use /api/generate" in answer.json()["error"]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
async def store(shelf: Shelf) -> AsyncIterator[httpx.AsyncClient]:
    """Talk to a server that fetches models."""
    app: App = create_app(Fleet(EchoProcess), library=shelf)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client
    await app.context.control().downloads.close()
    await app.context.service.close()


async def test_a_model_is_pulled_in_lines(store: httpx.AsyncClient, shelf: Shelf) -> None:
    states = await lines(store, "pull", model="two:latest")
    assert states[0] == {"status": "pulling manifest"}
    assert states[-2]["total"] == states[-2]["completed"] == 100
    assert states[-1] == {"status": "success"}
    assert await whole(store, "pull", model="two") == {"status": "success"}
    names = [tag["name"] for tag in (await store.get("/api/tags")).json()["models"]]
    assert names == ["one", "two"]


async def test_a_pull_that_fails_ends_in_its_error(store: httpx.AsyncClient, shelf: Shelf) -> None:
    shelf.fails = True
    assert (await lines(store, "pull", model="two"))[-1] == {"error": "the hub is away"}


async def test_a_model_is_deleted_unless_it_is_loaded(
    store: httpx.AsyncClient, shelf: Shelf
) -> None:
    await store.post("/api/v1/models/load", json={"model": "one"})
    asked: dict[str, Any] = {"method": "DELETE", "url": "/api/delete", "json": {"model": "one"}}
    answer = await store.request(**asked)
    assert (answer.status_code, "unload it first" in answer.json()["error"]) == (409, True)
    await store.post("/api/v1/models/unload", json={"instance_id": "one"})
    assert (await store.request(**asked)).status_code == 200
    assert shelf.here == set()
    assert (await store.request(**asked)).status_code == 404
