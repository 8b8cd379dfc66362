"""A conversation: who said what.

Not here: the wire forms of clients, which the server translates into these.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool"]


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    """Hold one piece of text of a message."""

    text: str


Part = TextPart


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """Record a call that an assistant made; `arguments` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """Describe a function that the model may call; `parameters` is a JSON schema as JSON text."""

    name: str
    description: str | None = None
    parameters: str = "{}"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one turn.

    `tool_call_id` is set on `tool` messages only, `tool_calls` and `reasoning` on assistant's.
    """

    role: Role
    content: tuple[Part, ...] = ()
    name: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """Join the message's text parts."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


def text_message(role: Role, text: str) -> Message:
    """Make a message of plain text."""
    return Message(role=role, content=(TextPart(text),))
