"""`/api/v1/models/...`: loading, unloading, fetching."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from myna.core.fleet import Fleet
from myna.core.service import Health
from myna.server.app import App, create_app
from shelf import EchoProcess, Shelf

BASE = "/api/v1/models"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def app(shelf: Shelf) -> App:
    return create_app(Fleet(EchoProcess), library=shelf)


@pytest.fixture
async def client(app: App) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client
    await app.context.control().downloads.close()
    await app.context.service.close()


async def post(client: httpx.AsyncClient, path: str, **fields: Any) -> dict[str, Any]:
    answer = await client.post(f"{BASE}/{path}", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def until(client: httpx.AsyncClient, job_id: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            job = (await client.get(f"{BASE}/download/status/{job_id}")).json()
            if job["status"] == status:
                return job
            await asyncio.sleep(0.01)


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    blocks = answer.text.strip().split("\n\n")
    return [json.loads(block.split("data: ", 1)[1]) for block in blocks]


async def test_a_model_is_loaded_served_and_unloaded(client: httpx.AsyncClient) -> None:
    assert (await client.get("/readyz")).status_code == 503
    loaded = await post(client, "load", model="one")
    assert (loaded["instance_id"], loaded["status"], loaded["type"]) == ("one", "loaded", "llm")
    assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["one"]
    asked = {"messages": [{"role": "user", "content": "hi"}], "model": "one"}
    answer = (await client.post("/v1/chat/completions", json=asked)).json()
    assert answer["choices"][0]["message"]["content"] == "hi"
    assert await post(client, "unload", instance_id="one") == {"instance_id": "one"}
    assert (await client.post("/v1/chat/completions", json=asked)).status_code == 503


async def test_models_are_listed_with_what_is_loaded_of_them(client: httpx.AsyncClient) -> None:
    await post(client, "load", model="one")
    one, two = (await client.get(BASE)).json()["models"]
    assert (one["key"], one["is_downloaded"], two["is_downloaded"]) == ("one", True, False)
    assert one["loaded_instances"] == [
        {
            "id": "one",
            "status": "loaded",
            "progress": None,
            "context_length": 1_000_000,
            "created": None,
            "memory_bytes": None,
            "num_running": 0,
            "num_waiting": 0,
            "reason": None,
        }
    ]
    assert (two["loaded_instances"], two["licence"]) == ([], "Apache-2.0")


async def test_a_loaded_model_that_cannot_answer_says_why(shelf: Shelf) -> None:
    class Hanging(EchoProcess):
        pid = os.getpid()

        async def health(self) -> Health:
            return Health(ready=False, reason="it hangs", num_waiting=1)

    fleet = Fleet(Hanging)
    await fleet.load("one")
    transport = httpx.ASGITransport(create_app(fleet, library=shelf))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        (instance,) = (await client.get(BASE)).json()["models"][0]["loaded_instances"]
    assert (instance["status"], instance["reason"]) == ("loaded", "it hangs")
    assert (instance["num_running"], instance["num_waiting"]) == (0, 1)
    assert instance["memory_bytes"] > 10**6
    await fleet.close()


async def test_a_load_may_be_watched(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{BASE}/load", json={"model": "one", "stream": True})
    events = events_of(answer)
    assert answer.text.startswith("event: model_load.")
    assert events[-1]["type"] == "model_load.end"
    assert events[-1]["model_instance_id"] == "one"


@pytest.mark.parametrize(
    ("path", "fields", "status", "message"),
    [
        ("load", {"model": "two"}, 404, "is not on this machine; POST /api/v1/models/download"),
        ("load", {"model": "../one"}, 404, "here are: one"),
        ("load", {}, 400, "`model` is missing"),
        ("unload", {"instance_id": "one"}, 404, "nothing is loaded"),
        ("download", {"model": "/etc"}, 404, "no model of the catalogue"),
        ("download/cancel", {"job_id": "x"}, 404, "There is no download 'x'"),
    ],
)
async def test_what_is_not_there_is_told(
    client: httpx.AsyncClient, path: str, fields: dict[str, Any], status: int, message: str
) -> None:
    answer = await client.post(f"{BASE}/{path}", json=fields)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


async def test_no_more_are_loaded_than_may_be(client: httpx.AsyncClient, shelf: Shelf) -> None:
    shelf.here.add("two")
    await post(client, "load", model="one")
    answer = await client.post(f"{BASE}/load", json={"model": "two"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "too_many_models")


async def test_a_model_is_fetched_and_watched(client: httpx.AsyncClient, shelf: Shelf) -> None:
    job = await post(client, "download", model="two")
    assert (job["model"], job["total_size_bytes"]) == ("two", 100)
    address = f"{BASE}/download/status/{job['job_id']}"
    answer = await client.get(address, headers={"accept": "text/event-stream"})
    last = events_of(answer)[-1]
    assert (last["status"], last["downloaded_bytes"]) == ("completed", 100)
    assert "two" in shelf.here
    again = await post(client, "download", model="two")
    assert again["status"] == "already_downloaded"


async def test_a_download_is_joined_and_cancelled(client: httpx.AsyncClient, shelf: Shelf) -> None:
    shelf.may_fetch.clear()
    job = await post(client, "download", model="two")
    assert (await post(client, "download", model="two"))["job_id"] == job["job_id"]
    await post(client, "download/cancel", job_id=job["job_id"])
    ended = await until(client, job["job_id"], "cancelled")
    assert ended["completed_at"] is not None
    assert "two" not in shelf.here


async def test_a_download_that_fails_says_why(client: httpx.AsyncClient, shelf: Shelf) -> None:
    shelf.fails = True
    job = await post(client, "download", model="two")
    assert (await until(client, job["job_id"], "failed"))["error"] == "the hub is away"


async def test_a_model_is_deleted_unless_it_is_loaded(
    client: httpx.AsyncClient, shelf: Shelf
) -> None:
    await post(client, "load", model="one")
    answer = await client.delete("/v1/models/one")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    await post(client, "unload", instance_id="one")
    answer = await client.delete("/v1/models/one")
    assert answer.json() == {"id": "one", "object": "model", "deleted": True}
    assert shelf.here == set()
    assert (await client.delete("/v1/models/one")).status_code == 404


async def test_a_server_of_one_model_loads_no_other(service: Any) -> None:
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        answer = await client.get(BASE)
    assert answer.status_code == 400
    assert "the model it was started with" in answer.json()["error"]["message"]
