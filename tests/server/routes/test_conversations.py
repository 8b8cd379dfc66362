"""`/api/v1/conversations`: what clients may keep, and who may see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from myna.core.echo import EchoService
from myna.server.app import create_app
from myna.server.routes.conversations import shown_type
from myna.server.settings import ServerSettings
from myna.store.history import History

PATH = "/api/v1/conversations"
PNG = b"\x89PNG\r\n\x1a\n and so on"


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History(tmp_path, reserve_bytes=0)
    yield history
    history.close()


def client_of(history: History | None, *, key: str | None = None) -> httpx.AsyncClient:
    settings = ServerSettings(api_keys=("anna", "ben")) if key else ServerSettings()
    app = create_app(EchoService(), settings=settings, history=history)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://testserver",
        headers={"authorization": f"Bearer {key}"} if key else {},
    )


@pytest.fixture
async def client(history: History) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(history) as client:
        yield client


async def begin(client: httpx.AsyncClient, *texts: str, **fields: Any) -> str:
    conversation = (await client.post(PATH, json=fields)).json()
    for idx, text in enumerate(texts):
        body = {"role": ("user", "assistant")[idx % 2], "content": text}
        answer = await client.post(f"{PATH}/{conversation['id']}/messages", json=body)
        assert answer.status_code == 201, answer.text
    return str(conversation["id"])


def texts_of(thread: dict[str, Any]) -> list[str]:
    return [branch["message"]["content"][0]["text"] for branch in thread["branches"]]


async def test_a_conversation_is_kept_shown_and_deleted(client: httpx.AsyncClient) -> None:
    conversation_id = await begin(client, "one", "1", title="Numbers", model="echo")
    thread = (await client.get(f"{PATH}/{conversation_id}")).json()
    assert texts_of(thread) == ["one", "1"]
    assert thread["conversation"]["title"] == "Numbers"
    (listed,) = (await client.get(PATH)).json()["data"]
    assert listed["id"] == conversation_id
    assert (await client.delete(f"{PATH}/{conversation_id}")).status_code == 204
    gone = await client.get(f"{PATH}/{conversation_id}")
    assert gone.status_code == 404
    assert gone.json()["error"]["code"] == "not_found"


async def test_an_edit_and_another_try_open_branches(client: httpx.AsyncClient) -> None:
    conversation_id = await begin(client, "one", "1")
    first = (await client.get(f"{PATH}/{conversation_id}")).json()["branches"][0]["message"]
    for body in (
        {"role": "assistant", "content": "I", "parent_id": first["id"]},
        {"role": "user", "content": "uno", "is_first": True},
    ):
        await client.post(f"{PATH}/{conversation_id}/messages", json=body)
    thread = (await client.get(f"{PATH}/{conversation_id}")).json()
    assert texts_of(thread) == ["uno"]
    changed = await client.patch(f"{PATH}/{conversation_id}", json={"leaf_id": first["id"]})
    assert changed.status_code == 200
    thread = (await client.get(f"{PATH}/{conversation_id}")).json()
    assert texts_of(thread) == ["one", "I"]


async def test_conversations_are_renamed_pinned_and_paged(client: httpx.AsyncClient) -> None:
    ids = [await begin(client, title=f"c{idx}") for idx in range(3)]
    await client.patch(f"{PATH}/{ids[0]}", json={"is_pinned": True, "title": "first"})
    page = (await client.get(PATH, params={"limit": 2})).json()
    assert [each["title"] for each in page["data"]] == ["first", "c2"]
    rest = (await client.get(PATH, params={"limit": 2, "offset": page["next_offset"]})).json()
    assert [each["title"] for each in rest["data"]] == ["c1"]
    assert rest["next_offset"] is None


async def test_words_are_found(client: httpx.AsyncClient) -> None:
    conversation_id = await begin(client, "the myna sings")
    hits = (await client.get(f"{PATH}/search", params={"q": "myna"})).json()["data"]
    assert [hit["conversation"]["id"] for hit in hits] == [conversation_id]
    refused = await client.get(f"{PATH}/search")
    assert refused.status_code == 400


async def test_a_message_is_written_on(client: httpx.AsyncClient) -> None:
    conversation_id = await begin(client)
    body = {"role": "assistant", "content": "ha", "status": "incomplete"}
    message = (await client.post(f"{PATH}/{conversation_id}/messages", json=body)).json()
    path = f"{PATH}/{conversation_id}/messages/{message['id']}"
    change = {"content": "half", "status": "complete"}
    assert (await client.patch(path, json=change)).json()["content"][0]["text"] == "half"
    other = await begin(client)
    elsewhere = f"{PATH}/{other}/messages/{message['id']}"
    refused = await client.patch(elsewhere, json=change)
    assert refused.status_code == 404
    assert "is of another conversation" in refused.json()["error"]["message"]


async def test_files_are_kept_and_shown_to_their_owner(history: History) -> None:
    async with client_of(history, key="anna") as anna, client_of(history, key="ben") as ben:
        kept = (await anna.post("/api/v1/media", content=PNG)).json()
        piece = {"type": "media", "kind": "image", "hash": kept["hash"]}
        conversation_id = await begin(anna)
        body = {"role": "user", "content": [piece, {"type": "text", "text": "look"}]}
        answer = await anna.post(f"{PATH}/{conversation_id}/messages", json=body)
        assert answer.status_code == 201, answer.text
        shown = await anna.get(f"/api/v1/media/{kept['hash']}")
        assert shown.content == PNG
        assert shown.headers["content-type"] == "image/png"
        assert "sandbox" in shown.headers["content-security-policy"]
        assert (await ben.get(f"/api/v1/media/{kept['hash']}")).status_code == 404
        assert (await ben.get(f"{PATH}/{conversation_id}")).status_code == 404
        assert (await ben.get(PATH)).json()["data"] == []
        empty = await anna.post("/api/v1/media", content=b"")
        assert "send the bytes of a file" in empty.json()["error"]["message"]


async def test_what_may_hold_a_script_is_never_shown(client: httpx.AsyncClient) -> None:
    page = b"<svg onload=alert(1)>"
    kept = (await client.post("/api/v1/media", content=page)).json()
    conversation_id = await begin(client)
    piece = {"type": "media", "kind": "image", "hash": kept["hash"], "media_type": "text/html"}
    await client.post(
        f"{PATH}/{conversation_id}/messages", json={"role": "user", "content": [piece]}
    )
    answer = await client.get(f"/api/v1/media/{kept['hash']}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
    assert shown_type(page) is None


async def test_a_conversation_is_taken_away_and_brought_back(client: httpx.AsyncClient) -> None:
    conversation_id = await begin(client, "one", "1", title="Numbers")
    path = f"{PATH}/{conversation_id}/export"
    document = (await client.get(path)).content
    back = await client.post(f"{PATH}/import", content=document)
    assert back.status_code == 201
    thread = (await client.get(f"{PATH}/{back.json()['id']}")).json()
    assert texts_of(thread) == ["one", "1"]
    markdown = await client.get(path, params={"format": "markdown"})
    assert markdown.text.startswith("# Numbers")
    assert markdown.headers["content-disposition"].endswith('.md"')
    refused = await client.get(path, params={"format": "pdf"})
    assert "it can be json or markdown" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("GET", f"{PATH}?limit=-1", None, "`limit` is '-1'; it can be a number up to 200"),
        ("POST", PATH, {"title": 3}, "Invalid `title`: expected"),
        ("POST", f"{PATH}/conv_x/messages", {"role": "user"}, "there is no conversation 'conv_x'"),
        ("POST", f"{PATH}/import", {}, "no conversation that was exported here"),
        ("GET", "/api/v1/media/..%2f..%2fetc%2fpasswd", None, ""),
        ("GET", "/api/v1/media/abc", None, "no message names a file 'abc'"),
    ],
)
async def test_what_is_wrong_is_told(
    client: httpx.AsyncClient, method: str, path: str, body: Any, message: str
) -> None:
    answer = await client.request(method, path, json=body)
    assert answer.status_code in (400, 404)
    assert message in answer.json()["error"]["message"]


async def test_a_server_without_a_history_says_so() -> None:
    async with client_of(None) as client:
        answer = await client.get(PATH)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "history_off"
