"""`/v1/chat/completions/{id}`: chat completions that were to be stored, read again and changed."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core.errors import InvalidRequest
from myna.core.messages import Message
from myna.server.body import read_wire
from myna.server.context import context_of, owner_of
from myna.server.kept import KeptChat
from myna.server.schemas.answers import ChatCompletion, FunctionText, ToolCallObject
from myna.server.schemas.chat import ChatChange
from myna.server.schemas.responses import DeletedObject

CHANGE = msgspec.json.Decoder(ChatChange)
USUAL_PAGE, MAX_PAGE = 20, 100
ADDRESS = "/v1/chat/completions"


class StoredTurn(msgspec.Struct, kw_only=True):
    """One turn of what a stored completion answered; media are not repeated."""

    id: str
    role: str
    content: str
    name: str | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET
    tool_calls: list[ToolCallObject] | UnsetType = UNSET


class Page(msgspec.Struct, kw_only=True):
    """A page of a list."""

    object: str = "list"
    data: list[ChatCompletion] | list[StoredTurn]
    first_id: str
    last_id: str
    has_more: bool


async def list_chats(request: Request) -> Response:
    """List stored completions, page by page; the oldest first unless asked otherwise."""
    asked = request.query_params
    stored = [kept.completion for kept in context_of(request).chats.of(owner_of(request))]
    if model := asked.get("model"):
        stored = [completion for completion in stored if completion.model == model]
    for key, value in asked.multi_items():
        if key.startswith("metadata[") and key.endswith("]"):
            name = key[len("metadata[") : -1]
            stored = [one for one in stored if _metadata(one).get(name) == value]
    return _page(request, stored)


async def retrieve_chat(request: Request) -> Response:
    """Give a stored completion again."""
    return _json(_kept(request).completion)


async def change_chat(request: Request) -> Response:
    """Change what is noted about a stored completion."""
    wire = await read_wire(request, CHANGE)
    kept = _kept(request)
    changed = msgspec.structs.replace(kept.completion, metadata=wire.metadata or {})
    context_of(request).chats.keep(changed.id, replace(kept, completion=changed))
    return _json(changed)


async def delete_chat(request: Request) -> Response:
    """Forget a stored completion."""
    name = request.path_params["completion_id"]
    context_of(request).chats.forget(name, owner=owner_of(request))
    return _json(DeletedObject(id=name, object="chat.completion.deleted"))


async def list_turns(request: Request) -> Response:
    """List the turns that a stored completion answered."""
    kept = _kept(request)
    turns = [
        _turn(turn, f"{kept.completion.id}-{number}") for number, turn in enumerate(kept.turns)
    ]
    return _page(request, turns)


def _kept(request: Request) -> KeptChat:
    name = request.path_params["completion_id"]
    return context_of(request).chats.get(name, owner=owner_of(request))


def _page(request: Request, rows: list[ChatCompletion] | list[StoredTurn]) -> Response:
    """Cut a page out of a list, as `order`, `after` and `limit` say."""
    asked = request.query_params
    limit = asked.get("limit", str(USUAL_PAGE))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 9):
        raise InvalidRequest(f"`limit` is {limit!r}; give a number.", param="limit")
    if asked.get("order") == "desc":
        rows = rows[::-1]
    if after := asked.get("after"):
        ids = [row.id for row in rows]
        rows = rows[ids.index(after) + 1 :] if after in ids else rows
    page = rows[: min(int(limit), MAX_PAGE)]
    first, last = (page[0].id, page[-1].id) if page else ("", "")
    body = Page(data=page, first_id=first, last_id=last, has_more=len(page) < len(rows))
    return _json(body)


def _turn(turn: Message, turn_id: str) -> StoredTurn:
    calls = [
        ToolCallObject(
            id=call.id,
            type="function",
            function=FunctionText(name=call.name, arguments=call.arguments),
        )
        for call in turn.tool_calls
    ]
    return StoredTurn(
        id=turn_id,
        role=turn.role,
        content=turn.text,
        name=turn.name or UNSET,
        tool_call_id=turn.tool_call_id or UNSET,
        tool_calls=calls or UNSET,
    )


def _metadata(completion: ChatCompletion) -> dict[str, str]:
    return {} if completion.metadata is UNSET else completion.metadata


def _json(body: ChatCompletion | DeletedObject | Page) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


routes = [
    Route(ADDRESS, list_chats, methods=["GET"]),
    Route(f"{ADDRESS}/{{completion_id}}", retrieve_chat, methods=["GET"]),
    Route(f"{ADDRESS}/{{completion_id}}", change_chat, methods=["POST"]),
    Route(f"{ADDRESS}/{{completion_id}}", delete_chat, methods=["DELETE"]),
    Route(f"{ADDRESS}/{{completion_id}}/messages", list_turns, methods=["GET"]),
]
