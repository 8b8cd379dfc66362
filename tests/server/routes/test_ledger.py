"""What left this machine, over HTTP."""

from __future__ import annotations

from pathlib import Path

import httpx

from myna.core.echo import EchoService
from myna.core.ledger import note_departure
from myna.server.app import create_app


async def ask(home: Path | None) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(EchoService(), home=home))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        return await client.get("/api/v1/ledger")


async def test_departures_are_listed(tmp_path: Path) -> None:
    assert (await ask(tmp_path)).json() == {"folder": str(tmp_path), "data": []}
    note_departure(tmp_path, purpose="model", host="hub.example", path="/a", has_key=True)
    (found,) = (await ask(tmp_path)).json()["data"]
    assert found.pop("at") > 0
    assert found == {"purpose": "model", "host": "hub.example", "path": "/a", "has_key": True}


async def test_without_a_data_folder_there_is_no_ledger() -> None:
    answer = await ask(None)
    assert answer.status_code == 400
    assert "no data folder" in answer.json()["error"]["message"]
