"""Chat completions that are stored: read again, noted on, listed, deleted."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from myna.core.echo import EchoService
from myna.server.app import create_app
from myna.server.settings import ServerSettings

URL = "/v1/chat/completions"


async def ask(client: httpx.AsyncClient, text: str, **fields: Any) -> httpx.Response:
    turns = [{"role": "user", "content": text}]
    answer = await client.post(URL, json={"messages": turns, "store": True, **fields})
    assert answer.status_code == 200, answer.text
    return answer


async def stored(client: httpx.AsyncClient, query: str = "") -> list[str]:
    page = (await client.get(f"{URL}{query}")).json()
    return [row["choices"][0]["message"]["content"] for row in page["data"]]


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_stored_answer_can_be_read_again(
    client: httpx.AsyncClient, is_stream: bool
) -> None:
    await ask(client, "hello there", stream=is_stream, metadata={"who": "me"})
    (row,) = (await client.get(URL)).json()["data"]
    assert row["choices"][0]["message"]["content"] == "hello there"
    assert row["metadata"] == {"who": "me"}
    assert (await client.get(f"{URL}/{row['id']}")).json() == row
    turns = (await client.get(f"{URL}/{row['id']}/messages")).json()["data"]
    assert turns == [{"id": f"{row['id']}-0", "role": "user", "content": "hello there"}]


async def test_an_answer_is_stored_only_if_it_is_to_be(client: httpx.AsyncClient) -> None:
    await ask(client, "hello", store=False)
    page = (await client.get(URL)).json()
    assert page == {"object": "list", "data": [], "first_id": "", "last_id": "", "has_more": False}


async def test_lists_come_in_pages(client: httpx.AsyncClient) -> None:
    for number in range(4):
        await ask(client, str(number), metadata={"half": str(number // 2)})
    assert await stored(client) == ["0", "1", "2", "3"]
    assert await stored(client, "?order=desc&limit=2") == ["3", "2"]
    assert await stored(client, "?metadata[half]=1") == ["2", "3"]
    assert await stored(client, "?model=other") == []
    page = (await client.get(f"{URL}?limit=3")).json()
    assert page["has_more"] is True
    assert await stored(client, f"?after={page['last_id']}") == ["3"]
    answer = await client.get(f"{URL}?limit=many")
    assert answer.json()["error"]["param"] == "limit"


async def test_notes_are_changed_and_answers_deleted(client: httpx.AsyncClient) -> None:
    address = f"{URL}/{(await ask(client, 'hello')).json()['id']}"
    changed = (await client.post(address, json={"metadata": {"a": "b"}})).json()
    assert changed["metadata"] == {"a": "b"}
    assert (await client.get(address)).json() == changed
    deleted = (await client.delete(address)).json()
    assert (deleted["object"], deleted["deleted"]) == ("chat.completion.deleted", True)
    for method in ("GET", "DELETE"):
        answer = await client.request(method, address)
        assert "There is no completion" in answer.json()["error"]["message"]


async def test_a_conversation_with_tools_is_listed(client: httpx.AsyncClient) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "rain", "tool_call_id": "c1"},
    ]
    answer = await client.post(URL, json={"messages": turns, "store": True})
    listed = (await client.get(f"{URL}/{answer.json()['id']}/messages")).json()["data"]
    assert listed[0]["tool_calls"] == [call]
    assert listed[1]["tool_call_id"] == "c1"


async def test_what_is_stored_is_its_owners_alone() -> None:
    app = create_app(EchoService(), settings=ServerSettings(api_keys=("a", "b")))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        client.headers["authorization"] = "Bearer a"
        address = f"{URL}/{(await ask(client, 'secret')).json()['id']}"
        client.headers["authorization"] = "Bearer b"
        assert (await client.get(address)).status_code == 404
        assert await stored(client) == []
