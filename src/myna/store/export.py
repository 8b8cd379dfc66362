"""Taking a conversation away: as JSON, which can be brought back, and as Markdown, to be read.

JSON holds every branch; files are inside it as base64, so that it stands alone.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from datetime import UTC, datetime

import msgspec

from myna.core.errors import InvalidRequest
from myna.store.history import History
from myna.store.records import (
    ConversationRecord,
    MediaPiece,
    MessageRecord,
    TextPiece,
    Thread,
)

FORMAT = "myna-conversation"
FORMAT_VERSION = 1
SPEAKERS = {"system": "System", "user": "You", "assistant": "Assistant", "tool": "Tool"}
MAX_MESSAGES = 100_000


class Document(msgspec.Struct, kw_only=True):
    """A conversation as a file: everything, files included."""

    format: str = FORMAT
    version: int = FORMAT_VERSION
    conversation: ConversationRecord
    messages: list[MessageRecord]
    files: dict[str, str] = {}


DECODER = msgspec.json.Decoder(Document)


def export_json(history: History, conversation_id: str, *, owner: str = "") -> bytes:
    """Write a conversation with all branches and files.

    Raises:
        NoSuchRecord: there is none of this id.
    """
    conversation = history.conversation(conversation_id, owner=owner)
    messages = history.messages(conversation_id)
    hashes = {
        piece.hash
        for message in messages
        for piece in message.content
        if isinstance(piece, MediaPiece)
    }
    files = {
        digest: base64.b64encode(history.media.get(digest)).decode() for digest in sorted(hashes)
    }
    document = Document(conversation=conversation, messages=messages, files=files)
    return msgspec.json.format(msgspec.json.encode(document), indent=1)


def import_json(history: History, data: bytes, *, owner: str = "") -> ConversationRecord:
    """Bring a conversation back, under ids of its own; nothing that is there changes.

    Raises:
        InvalidRequest: the document is not one of ours, or does not hold together.
        NotSaved: there is no room for it.
    """
    document = _read(data)
    for digest, text in document.files.items():
        try:
            kept = history.keep_file(base64.b64decode(text, validate=True))
        except binascii.Error as error:
            raise InvalidRequest(f"the file {digest[:80]!r} is not base64: {error}") from error
        if kept != digest:
            raise InvalidRequest(
                f"the file {digest[:80]!r} does not have this hash; the document was changed"
            )
    ids = {message.id: f"msg_{secrets.token_hex(12)}" for message in document.messages}
    old = document.conversation
    conversation = msgspec.structs.replace(
        old,
        id=f"conv_{secrets.token_hex(12)}",
        leaf_id=None if old.leaf_id is None else _known(old.leaf_id, ids),
        updated_s=time.time(),
    )
    messages = [
        msgspec.structs.replace(
            message,
            id=ids[message.id],
            conversation_id=conversation.id,
            parent_id=None if message.parent_id is None else _known(message.parent_id, ids),
            status="interrupted" if message.status == "incomplete" else message.status,
        )
        for message in document.messages
    ]
    history.put(conversation, messages, owner=owner)
    return conversation


def export_markdown(thread: Thread) -> str:
    """Write the branch that is shown, to be read by people."""
    conversation = thread.conversation
    began = datetime.fromtimestamp(conversation.created_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    model = f" · {conversation.model}" if conversation.model else ""
    parts = [f"# {conversation.title}", f"{began}{model}"]
    if conversation.system:
        parts.append(f"> {conversation.system}".replace("\n", "\n> "))
    for branch in thread.branches:
        parts.append(_message(branch.message))
    return "\n\n".join(parts) + "\n"


def _message(message: MessageRecord) -> str:
    lines = [f"## {SPEAKERS[message.role]}"]
    for piece in message.content:
        if isinstance(piece, TextPiece):
            lines.append(piece.text)
            continue
        name = piece.name or piece.hash[:12]
        said = f": {piece.transcript}" if piece.transcript else ""
        lines.append(f"*{piece.kind} {name}{said}*")
    for call in message.tool_calls:
        lines.append(f"```json\n{call.name}({call.arguments})\n```")
    if message.status != "complete":
        lines.append(f"*({message.status})*")
    return "\n\n".join(lines)


def _read(data: bytes) -> Document:
    try:
        document = DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"this is no conversation that was exported here: {error}") from error
    if document.format != FORMAT or document.version > FORMAT_VERSION:
        raise InvalidRequest(
            f"the document is of format {document.format[:40]!r} {document.version}; known is "
            f"{FORMAT!r} {FORMAT_VERSION}"
        )
    if len(document.messages) > MAX_MESSAGES:
        raise InvalidRequest(
            f"the document has {len(document.messages)} messages, above {MAX_MESSAGES}"
        )
    return document


def _known(message_id: str, ids: dict[str, str]) -> str:
    if message_id not in ids:
        raise InvalidRequest(
            f"the document names the message {message_id[:80]!r}, which it does not hold"
        )
    return ids[message_id]
