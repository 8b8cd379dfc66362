"""Vectors are refused, not made up."""

from __future__ import annotations

import httpx


async def test_embeddings_are_refused_with_the_reason(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"model": "echo", "input": "x"})
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert message == "'echo' answers with text, audio; it makes no embeddings."
