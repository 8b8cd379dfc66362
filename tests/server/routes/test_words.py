"""Words get times from the loudness of what was said."""

from __future__ import annotations

import httpx


async def test_words_follow_the_loudness(client: httpx.AsyncClient) -> None:
    levels = [0.0] * 20 + [0.2] * 50 + [0.0] * 30 + [0.2] * 50
    answer = await client.post(
        "/api/v1/word-times", json={"text": "hello, there", "levels": levels}
    )
    first, second = answer.json()["words"]
    assert first["word"] == "hello,"
    assert abs(first["start_s"] - 0.2) < 0.05
    assert abs(second["start_s"] - 1.0) < 0.05
    assert second["end_char"] == 12
    assert first["is_approximate"]


async def test_silence_has_no_words(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/word-times", json={"text": "hello", "levels": []})
    assert answer.json() == {"words": []}


async def test_loudness_below_zero_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/word-times", json={"text": "a", "levels": [-1]})
    assert answer.status_code == 400
    assert "levels" in answer.json()["error"]["message"]
