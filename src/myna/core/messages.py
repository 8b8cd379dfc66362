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


class ImagePart(msgspec.Struct, frozen=True, tag="image"):
    """Hold a picture as the bytes of its file."""

    data: bytes


class AudioPart(msgspec.Struct, frozen=True, tag="audio"):
    """Hold a sound as the bytes of its file."""

    data: bytes


class VideoPart(msgspec.Struct, frozen=True, kw_only=True, tag="video"):
    """Hold a clip: the bytes of its file, or its frames as those of pictures.

    Attributes:
        data: the file; empty if frames are given.
        frames: pictures in order.
        fps: frames a second to look at, or that the given frames were taken at; `None` is the
            model's usual rate.
        has_sound: listen to the clip's sound track too, in step with its frames.
    """

    data: bytes = b""
    frames: tuple[bytes, ...] = ()
    fps: float | None = None
    has_sound: bool = False


Part = TextPart | ImagePart | AudioPart | VideoPart


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
