"""`/tokenize`, `/detokenize`, `/apply-template`."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from myna.core.echo import EchoService


@pytest.mark.parametrize("name", ["prompt", "content"])
async def test_a_text_is_cut_into_tokens(
    client: httpx.AsyncClient, service: EchoService, name: str
) -> None:
    answer = (await client.post("/tokenize", json={name: "a b c"})).json()
    tokens = list(await service.tokenize("a b c"))
    assert answer == {"tokens": tokens, "count": 3, "max_model_len": 1_000_000}


async def test_tokens_are_put_together(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/detokenize", json={"tokens": [1, 2]})).json()
    assert answer == {"prompt": "1 2", "content": "1 2"}


async def test_a_conversation_is_written_as_a_prompt(client: httpx.AsyncClient, chat: Any) -> None:
    answer = (await client.post("/apply-template", json=chat("hello"))).json()
    assert answer == {"prompt": "user: hello\n"}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": "x", "model": "other"}, "model"),
        ("/detokenize", {}, "tokens"),
        ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
        ("/apply-template", {}, "messages"),
    ],
)
async def test_wrong_fields_are_named(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], param: str
) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["param"] == param
