"""Health: alive, ready, and why not."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from myna import __version__
from myna.core.echo import EchoService
from myna.core.service import Health
from myna.server.app import App, create_app
from myna.server.routes import health as routes


class SickService(EchoService):
    """Report what the test wants."""

    def __init__(self, health: Health | None) -> None:
        super().__init__()
        self.reported = health

    async def health(self) -> Health:
        if self.reported is None:
            await asyncio.sleep(60)
            raise AssertionError
        return self.reported


async def test_all_is_well(client: httpx.AsyncClient) -> None:
    for path in ("/livez", "/readyz", "/health"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("health", "message"),
    [
        (Health(ready=False, reason="The engine restarts."), "The engine restarts."),
        (Health(ready=False), "The model is loading."),
        (Health(ready=True, heartbeat_age_s=7.2), "The engine has been stuck for 7 s."),
        (None, "The engine does not answer."),
    ],
)
@pytest.mark.parametrize("path", ["/readyz", "/health"])
async def test_an_engine_that_cannot_answer_is_not_ready(
    health: Health | None, message: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "HEALTH_TIMEOUT_S", 0.01)
    app = create_app(SickService(health))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        answer = await client.get(f"http://testserver{path}")
        alive = await client.get("http://testserver/livez")
    assert (answer.status_code, answer.json()["error"]["message"]) == (503, message)
    assert answer.headers["retry-after"] == "5"
    assert alive.status_code == 200


async def test_a_draining_server_is_not_ready(app: App, client: httpx.AsyncClient) -> None:
    app.context.gate.is_draining = True
    answer = await client.get("/readyz")
    assert answer.json()["error"]["message"] == "The server is shutting down."


async def test_the_version_is_told(client: httpx.AsyncClient) -> None:
    assert (await client.get("/version")).json() == {"name": "myna", "version": __version__}


async def test_a_deep_look_lets_the_model_write(client: httpx.AsyncClient) -> None:
    answer = await client.get("/healthz/deep")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


async def test_a_deep_look_tells_what_is_broken(
    client: httpx.AsyncClient, service: EchoService, app: App
) -> None:
    await service.close()
    answer = await client.get("/healthz/deep")
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "'echo' cannot answer: The echo service was closed."
    app.context.gate.is_draining = True


async def test_a_deep_look_wants_a_ready_server(client: httpx.AsyncClient, app: App) -> None:
    app.context.gate.is_draining = True
    answer = await client.get("/healthz/deep")
    assert answer.json()["error"]["message"] == "The server is shutting down."


async def test_metrics_come_though_the_engine_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routes, "HEALTH_TIMEOUT_S", 0.01)
    transport = httpx.ASGITransport(create_app(SickService(None)))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        answer = await client.get("/metrics")
    assert "myna:engine_ready 0" in answer.text
