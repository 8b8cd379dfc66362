"""An application around the echo service, and a client that calls it in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from myna import embedded
from myna.core.echo import EchoService
from myna.server.app import App, create_app

Chat = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def empty_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tests see no model but those of their own."""
    monkeypatch.setattr(embedded, "folder", lambda: None)


@pytest.fixture
def service() -> EchoService:
    """Serve words back."""
    return EchoService()


@pytest.fixture
def app(service: EchoService) -> App:
    """Wrap the service with default settings."""
    return create_app(service)


@pytest.fixture
async def client(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """Call the application without a socket."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


@pytest.fixture
def chat() -> Chat:
    """Make the body of a chat request of one turn; further fields by name."""

    def make(text: str, **fields: Any) -> dict[str, Any]:
        return {"model": "echo", "messages": [{"role": "user", "content": text}], **fields}

    return make
