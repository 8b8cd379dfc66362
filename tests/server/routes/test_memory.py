"""The memory that is used, over HTTP."""

from __future__ import annotations

import httpx


async def test_what_is_used_is_told_beside_what_there_is(client: httpx.AsyncClient) -> None:
    found = (await client.get("/api/v1/memory")).json()
    assert set(found) == {"used_bytes", "machine_bytes"}
    assert 10**6 < found["used_bytes"] < found["machine_bytes"]
