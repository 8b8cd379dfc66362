"""The edge of the application: ids, error forms, admission."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Message, Scope

from myna.core.echo import EchoService
from myna.core.events import Event
from myna.core.requests import Request
from myna.server.app import App, create_app
from myna.server.settings import Limits, ServerSettings


class BrokenService(EchoService):
    """Raise, against all promises."""

    async def generate(self, request: Request) -> AsyncIterator[Event]:
        raise ZeroDivisionError(f"a secret of {request.id}")
        yield


@pytest.mark.parametrize(
    ("method", "path", "status", "message", "code"),
    [
        (
            "GET",
            "/v2/nothing",
            404,
            "Nothing is served at '/v2/nothing'; GET /v1/models lists the models.",
            "unknown_url",
        ),
        (
            "DELETE",
            "/v1/chat/completions",
            405,
            "DELETE is not allowed at '/v1/chat/completions'; it takes POST.",
            "method_not_allowed",
        ),
    ],
)
async def test_errors_of_the_router_have_the_four_keys(
    client: httpx.AsyncClient, method: str, path: str, status: int, message: str, code: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.json() == {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": code,
        }
    }


async def test_every_answer_has_an_id_of_ours(client: httpx.AsyncClient) -> None:
    ids = set()
    for path in ("/v1/models", "/nothing", "/livez"):
        answer = await client.get(path, headers={"x-request-id": "theirs"})
        ids.add(answer.headers["x-request-id"])
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(ids) == 3
    assert all(request_id.startswith("req_") for request_id in ids)


async def test_a_fault_of_ours_is_logged_under_its_id_and_not_quoted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = create_app(BrokenService())
    body = {"messages": [{"role": "user", "content": "hi"}]}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        with caplog.at_level(logging.ERROR, logger="myna.server"):
            answer = await client.post("http://testserver/v1/chat/completions", json=body)
    request_id = answer.headers["x-request-id"]
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert request_id in answer.json()["error"]["message"]
    assert f"request_id={request_id}" in caplog.text


async def test_overload_tells_when_to_come_back() -> None:
    app = create_app(EchoService(), settings=ServerSettings(limits=Limits(max_requests=0)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        answer = await client.post("http://testserver/v1/chat/completions", json={})
        health = await client.get("http://testserver/livez")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert health.status_code == 200


async def test_a_refused_websocket_is_closed() -> None:
    app = create_app(EchoService(), settings=ServerSettings(api_keys=("k",)))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "websocket", "path": "/v1/realtime", "headers": []}
    await app(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_nothing_stays_open_after_an_answer(app: App, client: httpx.AsyncClient) -> None:
    for body in ({"messages": [{"role": "user", "content": "hi"}]}, {"messages": 5}):
        await client.post("/v1/chat/completions", json=body)
    assert (app.context.gate.num_open, app.context.gate.held_bytes) == (0, 0)


async def test_each_request_is_one_line_of_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="myna.server"):
        answer = await client.post("/no%0Astatus=200", json={"secret": 1})
    (line,) = [record.getMessage() for record in caplog.records if "event=request" in record.msg]
    request_id = answer.headers["x-request-id"]
    assert line.startswith(
        f"event=request request_id={request_id} method=POST path='/no\\nstatus=200' status=404 "
    )
    assert "secret" not in caplog.text
