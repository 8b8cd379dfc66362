"""What is kept: conversations, messages that branch, files. Plain values, as they are read back."""

from __future__ import annotations

from typing import Literal

import msgspec

from myna.core.messages import Role, ToolCall

Status = Literal["complete", "incomplete", "interrupted"]
MediaKind = Literal["image", "audio", "video"]


class TextPiece(msgspec.Struct, frozen=True, tag="text"):
    """Hold text."""

    text: str


class MediaPiece(msgspec.Struct, frozen=True, kw_only=True, tag="media"):
    """Name a file that is kept.

    Attributes:
        kind: what it is to a model.
        hash: SHA-256 of its bytes, in hexadecimal.
        media_type: what its sender said it is.
        name: what its sender called it.
        transcript: of a sound, if there is one.
    """

    kind: MediaKind
    hash: str
    media_type: str = "application/octet-stream"
    name: str | None = None
    transcript: str | None = None


Piece = TextPiece | MediaPiece


class MessageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one message of the tree that a conversation is.

    Attributes:
        parent_id: the message it answers; `None` for a first one.
        status: `incomplete` while it is being written, `interrupted` if that never ended.
        created_s: Unix time.
        model: who wrote it, if a model did.
    """

    id: str
    conversation_id: str
    parent_id: str | None
    role: Role
    content: tuple[Piece, ...] = ()
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    status: Status = "complete"
    created_s: float
    model: str | None = None

    @property
    def text(self) -> str:
        """Join what is written and what was said."""
        return text_of(self.content)


class ConversationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Describe one conversation.

    `leaf_id` is the last message of the branch that is shown; times are Unix times.
    """

    id: str
    title: str
    created_s: float
    updated_s: float
    is_pinned: bool = False
    model: str | None = None
    system: str | None = None
    leaf_id: str | None = None


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """Show one message of a branch, and the others that stand where it stands."""

    message: MessageRecord
    sibling_ids: tuple[str, ...]


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """Show a conversation along one branch, from its first message to its leaf."""

    conversation: ConversationRecord
    branches: tuple[Branch, ...]


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """Show where something was found: a stretch of text, the found words between « and »."""

    conversation: ConversationRecord
    message_id: str | None
    excerpt: str


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a message that is to be kept."""

    role: Role
    content: tuple[Piece, ...] = ()
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    status: Status = "complete"
    model: str | None = None


def text_of(content: tuple[Piece, ...]) -> str:
    """Join what is written in pieces, and what was said."""
    texts = [
        piece.text if isinstance(piece, TextPiece) else piece.transcript or "" for piece in content
    ]
    return "\n".join(text for text in texts if text)
