"""What was said in a call, by whom: items in order, which clients may add, cut and delete.

Not here: how items come about (session, response).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from msgspec import UNSET

from myna.core.errors import InvalidRequest, TooLarge
from myna.core.messages import (
    AudioPart,
    ImagePart,
    Message,
    Part,
    Role,
    TextPart,
    ToolCall,
    VideoPart,
)
from myna.core.service import ModelCard
from myna.media.align import Loudness, cut_text, spoken_words
from myna.server.realtime.limits import RealtimeLimits
from myna.server.realtime.server_events import ItemObject, ItemStatus, PartObject

ROOT = "root"
FRAMES_PER_S = 1.0
PartKind = Literal["input_text", "input_audio", "input_image", "output_text", "output_audio"]
ItemKind = Literal["message", "function_call", "function_call_output"]


@dataclass(kw_only=True)
class ItemPart:
    """Hold one piece of a message.

    Attributes:
        kind: what it is on the wire.
        text: its text, or the transcript of its sound.
        data: the file of a sound or of pictures, as long as it is remembered.
        frames: pictures of a camera, in order.
        loudness: of sound that was spoken here, from which times of words are found.
        is_whole: whether the sound says all of the text.
    """

    kind: PartKind
    text: str = ""
    data: bytes = b""
    frames: tuple[bytes, ...] = ()
    loudness: Loudness = field(default_factory=Loudness)
    is_whole: bool = True

    @property
    def num_bytes(self) -> int:
        """Count what its media take."""
        return len(self.data) + sum(map(len, self.frames))

    def wire(self) -> PartObject:
        """Draw it for clients."""
        if self.kind in ("input_text", "output_text"):
            return PartObject(type=self.kind, text=self.text)
        if self.kind == "input_image":
            return PartObject(type=self.kind)
        return PartObject(type=self.kind, transcript=self.text or None)


@dataclass(kw_only=True)
class Item:
    """Hold one item of a conversation."""

    id: str
    kind: ItemKind = "message"
    role: Role = "user"
    parts: list[ItemPart] = field(default_factory=list)
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str = ""
    status: ItemStatus = "completed"

    def wire(self) -> ItemObject:
        """Draw it for clients."""
        if self.kind == "message":
            return ItemObject(
                id=self.id,
                type=self.kind,
                status=self.status,
                role=self.role,
                content=[part.wire() for part in self.parts],
            )
        is_call = self.kind == "function_call"
        return ItemObject(
            id=self.id,
            type=self.kind,
            status=self.status,
            call_id=self.call_id,
            name=self.name if is_call else UNSET,
            arguments=self.arguments if is_call else UNSET,
            output=UNSET if is_call else self.output,
        )

    @property
    def num_chars(self) -> int:
        """Count its text."""
        own = len(self.arguments) + len(self.output)
        return own + sum(len(part.text) for part in self.parts)


class Conversation:
    """Keep items in order, within limits."""

    def __init__(self, limits: RealtimeLimits) -> None:
        self.items: list[Item] = []
        self._limits = limits
        self._left_out: set[str] = set()

    def add(self, item: Item, *, after: str | None = None) -> str | None:
        """Add an item at the end, or after another; returns the id of the one before it.

        Raises:
            InvalidRequest: there is no such other item, or already one of this id.
            TooLarge: the conversation is full.
        """
        if any(other.id == item.id for other in self.items):
            raise InvalidRequest(
                f"There already is an item {item.id!r}; take another id.", param="item.id"
            )
        if len(self.items) >= self._limits.max_items:
            raise TooLarge(
                f"The conversation has {len(self.items)} items, the most it may; delete some.",
                code="conversation_full",
            )
        num_chars = item.num_chars + sum(other.num_chars for other in self.items)
        if num_chars > self._limits.max_text_chars:
            raise TooLarge(
                f"The conversation would have {num_chars} characters, above "
                f"{self._limits.max_text_chars}; delete items.",
                code="conversation_full",
            )
        place = len(self.items)
        if after == ROOT:
            place = 0
        elif after is not None:
            place = self.items.index(self.get(after, param="previous_item_id")) + 1
        self.items.insert(place, item)
        self._forget_media()
        return self.items[place - 1].id if place else None

    def get(self, item_id: str, *, param: str = "item_id") -> Item:
        """Find an item.

        Raises:
            InvalidRequest: there is none of this id.
        """
        for item in self.items:
            if item.id == item_id:
                return item
        raise InvalidRequest(
            f"There is no item {item_id!r} in the conversation.", param=param, code="item_not_found"
        )

    def delete(self, item_id: str) -> None:
        """Remove an item."""
        self.items.remove(self.get(item_id))

    def truncate(self, item_id: str, *, part_idx: int, end_s: float) -> None:
        """Cut a spoken item to what was heard of it.

        Raises:
            InvalidRequest: nothing was spoken there, or not for so long.
        """
        item = self.get(item_id)
        if item.role != "assistant" or item.kind != "message":
            raise InvalidRequest(
                f"Item {item_id!r} is not an answer; only answers are truncated.", param="item_id"
            )
        if part_idx >= len(item.parts) or item.parts[part_idx].kind != "output_audio":
            raise InvalidRequest(
                f"Item {item_id!r} has no sound at `content_index` {part_idx}.",
                param="content_index",
            )
        part = item.parts[part_idx]
        if end_s > part.loudness.duration_s:
            raise InvalidRequest(
                f"`audio_end_ms` is {end_s * 1000:.0f}, but the sound lasts "
                f"{part.loudness.duration_s * 1000:.0f} ms.",
                param="audio_end_ms",
            )
        words = spoken_words(part.text, part.loudness, is_whole=part.is_whole)
        part.text = cut_text(part.text, words, end_s=end_s)
        part.loudness = part.loudness.until(end_s)
        part.is_whole = True
        item.status = "incomplete"

    def messages(self, card: ModelCard) -> tuple[Message, ...]:
        """Write the conversation for the model, as far as it is not left out."""
        return messages_of([item for item in self.items if item.id not in self._left_out], card)

    def leave_out_oldest(self) -> bool:
        """Leave the older half of what the model reads out of all that it reads from now on.

        The items stay, and so does what the system says; what is left begins with a user's turn.

        Returns:
            Whether anything could be left out.
        """
        read = [item for item in self.items if item.id not in self._left_out]
        read = [item for item in read if item.role != "system"]
        for idx in range(max(len(read) // 2, 1), len(read)):
            if read[idx].role == "user":
                self._left_out |= {item.id for item in read[:idx]}
                return True
        return False

    def _forget_media(self) -> None:
        """Let go of the oldest media where there are too many or too large; transcripts stay.

        Half of what may be kept goes at once: each time, the model reads the rest anew.
        """
        limits = self._limits
        parts = [part for item in self.items for part in item.parts if part.num_bytes]
        num_bytes = sum(part.num_bytes for part in parts)
        if num_bytes <= limits.max_media_bytes and len(parts) <= limits.max_media:
            return
        while parts and (
            num_bytes > limits.max_media_bytes // 2 or len(parts) > limits.max_media // 2
        ):
            if len(parts) == 1 and num_bytes <= limits.max_media_bytes:
                return  # What was just said stays.
            part = parts.pop(0)
            num_bytes -= part.num_bytes
            part.data, part.frames = b"", ()


def messages_of(items: list[Item], card: ModelCard) -> tuple[Message, ...]:
    """Write items for the model: calls join the answer that made them."""
    messages: list[Message] = []
    for item in items:
        match item.kind:
            case "message":
                parts = tuple(found for part in item.parts for found in _core_parts(part, card))
                if parts:
                    messages.append(Message(role=item.role, content=parts))
            case "function_call":
                call = ToolCall(id=item.call_id, name=item.name, arguments=item.arguments)
                last = messages[-1] if messages else None
                if last is not None and last.role == "assistant":
                    messages.pop()
                    content, calls = last.content, (*last.tool_calls, call)
                else:
                    content, calls = (), (call,)
                messages.append(Message(role="assistant", content=content, tool_calls=calls))
            case "function_call_output":
                content = (TextPart(item.output),)
                messages.append(Message(role="tool", content=content, tool_call_id=item.call_id))
    return tuple(messages)


def _core_parts(part: ItemPart, card: ModelCard) -> list[Part]:
    """Hand on what the model takes; of forgotten sound its transcript."""
    match part.kind:
        case "input_audio" if part.data:
            return [AudioPart(part.data)]
        case "input_image" if part.data:
            return [ImagePart(part.data)]
        case "input_image" if part.frames:
            if len(part.frames) > 1 and "video" in card.inputs:
                return [VideoPart(frames=part.frames, fps=FRAMES_PER_S)]
            return [ImagePart(part.frames[-1])]
    return [TextPart(part.text)] if part.text else []
