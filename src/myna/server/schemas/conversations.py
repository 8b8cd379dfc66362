"""`/api/v1/conversations` on the wire: what is asked; what is answered are the store's records."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from myna.core.messages import ToolCall
from myna.server.schemas.sampling import Name
from myna.store.records import ConversationRecord, Hit, MessageRecord, Piece, Status

Title = Annotated[str, Meta(min_length=1, max_length=1024)]
Text = Annotated[str, Meta(max_length=262_144)]
Pieces = Annotated[tuple[Piece, ...], Meta(max_length=256)]
Calls = Annotated[tuple[ToolCall, ...], Meta(max_length=128)]
Id = Annotated[str, Meta(min_length=1, max_length=128)]


class NewConversation(msgspec.Struct, kw_only=True):
    """Body of `POST /api/v1/conversations`."""

    title: Title | None = None
    model: Name | None = None
    system: Text | None = None


class ConversationChange(msgspec.Struct, kw_only=True):
    """Body of `PATCH /api/v1/conversations/{id}`; what is left out stays."""

    title: Title | None = None
    is_pinned: bool | None = None
    system: Text | None = None
    leaf_id: Id | None = None


class NewMessage(msgspec.Struct, kw_only=True):
    """Body of `POST /api/v1/conversations/{id}/messages`.

    Without `parent_id` the message answers the end of the branch that is shown; with `is_first` it
    opens a branch from the start.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str | Pieces = ()
    parent_id: Id | None = None
    is_first: bool = False
    reasoning: Text | None = None
    tool_calls: Calls = ()
    tool_call_id: Id | None = None
    status: Literal["complete", "incomplete"] = "complete"
    model: Name | None = None


class MessageChange(msgspec.Struct, kw_only=True):
    """Body of `PATCH /api/v1/conversations/{id}/messages/{id}`; what is left out stays."""

    content: str | Pieces | None = None
    reasoning: Text | None = None
    tool_calls: Calls | None = None
    status: Status | None = None


class ConversationList(msgspec.Struct, kw_only=True):
    """A page of conversations; `next_offset` asks for the next, where there is one."""

    data: list[ConversationRecord]
    next_offset: int | None


class MessageList(msgspec.Struct, kw_only=True):
    """All messages of a conversation, the oldest first."""

    data: list[MessageRecord]


class HitList(msgspec.Struct, kw_only=True):
    """What was found."""

    data: list[Hit]


class FileKept(msgspec.Struct, kw_only=True):
    """A file that is kept, under the name that messages give it."""

    hash: str
    num_bytes: int
