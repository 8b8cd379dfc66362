"""`/api/v1/conversations` and `/api/v1/media`: what is kept, for the web app and whoever else.

The store waits for the disk, so each call to it runs beside the event loop.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core.errors import InvalidRequest, NotFound
from myna.server.body import read_body, read_wire
from myna.server.context import context_of, owner_of, ticket_of
from myna.server.schemas.conversations import (
    ConversationChange,
    ConversationList,
    FileKept,
    HitList,
    MessageChange,
    MessageList,
    NewConversation,
    NewMessage,
)
from myna.store.export import export_json, export_markdown, import_json
from myna.store.history import History
from myna.store.media import MAX_FILE_BYTES
from myna.store.records import Draft, Piece, TextPiece

MAX_PAGE = 200
USUAL_PAGE = 50
NEW = msgspec.json.Decoder(NewConversation)
CHANGE = msgspec.json.Decoder(ConversationChange)
NEW_MESSAGE = msgspec.json.Decoder(NewMessage)
MESSAGE_CHANGE = msgspec.json.Decoder(MessageChange)
# A browser shows only what begins like one of these; all else it may save.
SHOWN_TYPES = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
)
FILE_HEADERS = {
    "cache-control": "private, max-age=31536000, immutable",
    "content-security-policy": "default-src 'none'; sandbox",
}
Record = TypeVar("Record", bound=msgspec.Struct)


async def list_conversations(request: Request) -> Response:
    """List conversations: pinned ones first, then the latest."""
    history = _history(request)
    limit = _number(request, "limit", usual=USUAL_PAGE, most=MAX_PAGE)
    offset = _number(request, "offset", usual=0, most=1_000_000)
    found = await asyncio.to_thread(
        history.conversations, owner=owner_of(request), limit=limit + 1, offset=offset
    )
    has_more = len(found) > limit
    page = ConversationList(data=found[:limit], next_offset=offset + limit if has_more else None)
    return _json(page)


async def create_conversation(request: Request) -> Response:
    """Begin a conversation."""
    wire = await read_wire(request, NEW)
    record = await asyncio.to_thread(
        _history(request).create,
        owner=owner_of(request),
        title=wire.title,
        model=wire.model,
        system=wire.system,
    )
    return _json(record, status=201)


async def search(request: Request) -> Response:
    """Find words in titles and messages."""
    limit = _number(request, "limit", usual=USUAL_PAGE, most=MAX_PAGE)
    words = request.query_params.get("q", "")
    hits = await asyncio.to_thread(
        _history(request).search, words, owner=owner_of(request), limit=limit
    )
    return _json(HitList(data=hits))


async def bring_back(request: Request) -> Response:
    """Import a conversation that was exported as JSON."""
    history = _history(request)
    data = await read_body(
        request,
        ticket_of(request),
        max_bytes=context_of(request).settings.limits.max_media_body_bytes,
    )
    record = await asyncio.to_thread(import_json, history, data, owner=owner_of(request))
    return _json(record, status=201)


async def show(request: Request) -> Response:
    """Show a conversation along its branch."""
    thread = await asyncio.to_thread(
        _history(request).thread, request.path_params["id"], owner=owner_of(request)
    )
    return _json(thread)


async def change(request: Request) -> Response:
    """Rename or pin a conversation, or choose its branch."""
    wire = await read_wire(request, CHANGE)
    record = await asyncio.to_thread(
        _history(request).change,
        request.path_params["id"],
        owner=owner_of(request),
        title=wire.title,
        is_pinned=wire.is_pinned,
        system=wire.system,
        leaf_id=wire.leaf_id,
    )
    return _json(record)


async def delete(request: Request) -> Response:
    """Delete a conversation for good."""
    await asyncio.to_thread(
        _history(request).delete, request.path_params["id"], owner=owner_of(request)
    )
    return Response(status_code=204)


async def list_messages(request: Request) -> Response:
    """List a conversation's messages, those of all branches."""
    history, conversation_id = _history(request), request.path_params["id"]
    await asyncio.to_thread(history.conversation, conversation_id, owner=owner_of(request))
    found = await asyncio.to_thread(history.messages, conversation_id)
    return _json(MessageList(data=list(found)))


async def add_message(request: Request) -> Response:
    """Keep a message; it is safe on the disk when the answer is sent."""
    wire = await read_wire(request, NEW_MESSAGE)
    draft = Draft(
        role=wire.role,
        content=_pieces(wire.content),
        reasoning=wire.reasoning,
        tool_calls=wire.tool_calls,
        tool_call_id=wire.tool_call_id,
        status=wire.status,
        model=wire.model,
    )
    record = await asyncio.to_thread(
        _history(request).add,
        request.path_params["id"],
        draft,
        owner=owner_of(request),
        parent_id=wire.parent_id,
        is_first=wire.is_first,
    )
    return _json(record, status=201)


async def change_message(request: Request) -> Response:
    """Write on at a message."""
    wire = await read_wire(request, MESSAGE_CHANGE)
    history, message_id = _history(request), request.path_params["message_id"]
    old = await asyncio.to_thread(history.message, message_id, owner=owner_of(request))
    if old.conversation_id != request.path_params["id"]:
        raise NotFound(f"The message {message_id!r} is of another conversation.", code="not_found")
    record = await asyncio.to_thread(
        history.update,
        message_id,
        owner=owner_of(request),
        content=None if wire.content is None else _pieces(wire.content),
        reasoning=wire.reasoning,
        tool_calls=wire.tool_calls,
        status=wire.status,
    )
    return _json(record)


async def export(request: Request) -> Response:
    """Take a conversation away, as JSON with everything or as Markdown to read."""
    history, owner = _history(request), owner_of(request)
    conversation_id = request.path_params["id"]
    match request.query_params.get("format", "json"):
        case "json":
            body = await asyncio.to_thread(export_json, history, conversation_id, owner=owner)
            return _download(body, f"{conversation_id}.json", "application/json")
        case "markdown":
            thread = await asyncio.to_thread(history.thread, conversation_id, owner=owner)
            body = export_markdown(thread).encode()
            return _download(body, f"{conversation_id}.md", "text/markdown; charset=utf-8")
        case other:
            raise InvalidRequest(
                f"`format` is {other[:40]!r}; it can be json or markdown.", param="format"
            )


async def keep_file(request: Request) -> Response:
    """Keep a file for messages to name."""
    history = _history(request)
    data = await read_body(request, ticket_of(request), max_bytes=MAX_FILE_BYTES)
    if not data:
        raise InvalidRequest("The body is empty; send the bytes of a file.", param="body")
    digest = await asyncio.to_thread(history.keep_file, data)
    return _json(FileKept(hash=digest, num_bytes=len(data)), status=201)


async def show_file(request: Request) -> Response:
    """Give back a file that a message of the caller's names."""
    history = _history(request)
    digest = request.path_params["hash"]
    data = await asyncio.to_thread(history.file, digest, owner=owner_of(request))
    headers = dict(FILE_HEADERS)
    media_type = shown_type(data)
    if media_type is None:
        media_type = "application/octet-stream"
        headers["content-disposition"] = "attachment"
    return Response(data, media_type=media_type, headers=headers)


def shown_type(data: bytes) -> str | None:
    """Tell as what a browser may show a file; nothing that could hold a script."""
    for start, mark, media_type in SHOWN_TYPES:
        if data[start : start + len(mark)] == mark:
            return media_type
    return None


def _history(request: Request) -> History:
    history = context_of(request).history
    if history is None:
        raise NotFound(
            "This server keeps no conversations; it was started without a history.",
            code="history_off",
        )
    return history


def _pieces(content: str | tuple[Piece, ...]) -> tuple[Piece, ...]:
    if isinstance(content, str):
        return (TextPiece(content),) if content else ()
    return content


def _number(request: Request, name: str, *, usual: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= most):
        raise InvalidRequest(
            f"`{name}` is {text[:40]!r}; it can be a number up to {most}.", param=name
        )
    return int(text)


def _json(record: Record, *, status: int = 200) -> Response:
    body = msgspec.json.encode(record)
    return Response(body, status_code=status, media_type="application/json")


def _download(body: bytes, name: str, media_type: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(body, media_type=media_type, headers=headers)


ONE = "/api/v1/conversations/{id}"
routes = [
    Route("/api/v1/conversations", list_conversations, methods=["GET"]),
    Route("/api/v1/conversations", create_conversation, methods=["POST"]),
    Route("/api/v1/conversations/search", search, methods=["GET"]),
    Route("/api/v1/conversations/import", bring_back, methods=["POST"]),
    Route(ONE, show, methods=["GET"]),
    Route(ONE, change, methods=["PATCH"]),
    Route(ONE, delete, methods=["DELETE"]),
    Route(f"{ONE}/messages", list_messages, methods=["GET"]),
    Route(f"{ONE}/messages", add_message, methods=["POST"]),
    Route(f"{ONE}/messages/{{message_id}}", change_message, methods=["PATCH"]),
    Route(f"{ONE}/export", export, methods=["GET"]),
    Route("/api/v1/media", keep_file, methods=["POST"]),
    Route("/api/v1/media/{hash}", show_file, methods=["GET"]),
]
