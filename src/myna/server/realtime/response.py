"""One answer under way: the service's events become the call's events and its items.

Not here: when an answer begins and what stops it (session).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from msgspec import UNSET, UnsetType

from myna.core import events as core
from myna.core.errors import ErrorInfo
from myna.media.align import Loudness
from myna.server.realtime.conversation import Conversation, Item, ItemPart
from myna.server.realtime.server_events import (
    ArgumentsDelta,
    ArgumentsDone,
    InputDetails,
    ItemAdded,
    ItemDone,
    ItemStatus,
    Json,
    OutputDetails,
    OutputItemAdded,
    OutputItemDone,
    PartAdded,
    PartDone,
    Place,
    ResponseCreated,
    ResponseDone,
    ResponseObject,
    ResponseStatus,
    ServerEvent,
    SoundDelta,
    SoundDone,
    SpokenDelta,
    SpokenDone,
    StatusDetails,
    TextDelta,
    TextDone,
    UsageObject,
    error_object,
)
from myna.server.realtime.sound import Format, Speaker, as_floats
from myna.server.render_speech import pace_of
from myna.server.schemas.answers import Extension

REASONS = {"length": "max_output_tokens"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Say what an answer is to be.

    Attributes:
        id: of the response.
        speaks: whether it is spoken.
        output: the format of its sound.
        voice: its speaker, if one was chosen.
        max_tokens: its longest length, if one was set.
        metadata: the client's own notes.
    """

    id: str
    speaks: bool
    output: Format
    voice: str | None = None
    max_tokens: int | None = None
    metadata: dict[str, str] | None = None


@dataclass
class _Open:
    """An item that still grows."""

    item: Item
    index: int
    call_idx: int | None = None
    previous_id: str | None = None
    has_sound: bool = False


@dataclass
class ResponseRun:
    """Follow one answer.

    Args:
        plan: what it is to be.
        conversation: what its items are added to; `None` for an answer beside the conversation.
        conversation_id: of that conversation.
        new_id: makes ids of items.
    """

    plan: Plan
    conversation: Conversation | None
    conversation_id: str
    new_id: Callable[[str], str]
    items: list[Item] = field(default_factory=list)
    sound_s: float = 0.0
    first_sound_s: float | None = None
    pace: Extension | UnsetType = UNSET
    _open: _Open | None = None

    def __post_init__(self) -> None:
        self._speaker = Speaker(self.plan.output)

    def begin(self) -> list[ServerEvent]:
        """Tell that the answer begins."""
        return [ResponseCreated(response=self._object("in_progress"))]

    def take(self, event: core.Event, *, now_s: float) -> list[ServerEvent]:
        """Take one event of the service; `Finished` and `Failed` end the answer."""
        match event:
            case core.TextDelta(text=text) if text:
                return self._write(text)
            case core.AudioDelta(pcm=pcm, rate_hz=rate_hz) if self.plan.speaks:
                if self.first_sound_s is None:
                    self.first_sound_s = now_s
                self.pace = pace_of(event) or self.pace
                return self._say(pcm, rate_hz=rate_hz)
            case core.ToolCallDelta():
                return self._call(event)
            case core.Finished(reason=reason, usage=usage):
                if reason == "length":
                    return self.end("incomplete", reason=REASONS[reason], usage=usage)
                return self.end("completed", usage=usage)
            case core.Failed(error=error):
                return self.end("failed", error=error)
        return []

    def end(
        self,
        status: ResponseStatus,
        *,
        reason: str | None = None,
        error: ErrorInfo | None = None,
        usage: core.Usage | None = None,
    ) -> list[ServerEvent]:
        """End the answer, whole or not."""
        said = self._close("completed" if status == "completed" else "incomplete")
        response = self._object(status)
        response.status_details = StatusDetails(
            type=status,
            reason=reason if reason is not None else UNSET,
            error=error_object(error) if error is not None else UNSET,
        )
        response.usage = _usage(usage) if usage is not None else None
        return [*said, ResponseDone(response=response)]

    def _object(self, status: ResponseStatus) -> ResponseObject:
        plan = self.plan
        output: dict[str, Json] = {
            "format": {"type": plan.output.mime_type, "rate": plan.output.rate_hz},
            "voice": plan.voice,
        }
        return ResponseObject(
            id=plan.id,
            status=status,
            output=[item.wire() for item in self.items],
            conversation_id=self.conversation_id if self.conversation is not None else None,
            output_modalities=["audio" if plan.speaks else "text"],
            max_output_tokens=plan.max_tokens or "inf",
            audio={"output": output} if plan.speaks else UNSET,
            metadata=plan.metadata,
            myna=self.pace,
        )

    def _write(self, text: str) -> list[ServerEvent]:
        said = self._message()
        part = self._part()
        part.text += text
        delta = SpokenDelta if self.plan.speaks else TextDelta
        return [*said, delta(**self._place(), delta=text)]

    def _say(self, pcm: bytes, *, rate_hz: int) -> list[ServerEvent]:
        said = self._message()
        part = self._part()
        part.loudness.add(as_floats(np.frombuffer(pcm, "<i2")), rate_hz=rate_hz)
        assert self._open is not None
        self._open.has_sound = True
        self.sound_s = part.loudness.duration_s
        data = self._speaker.write(pcm, rate_hz=rate_hz)
        delta = base64.b64encode(data).decode("ascii")
        return [*said, SoundDelta(**self._place(), delta=delta, myna=self.pace)]

    def _call(self, event: core.ToolCallDelta) -> list[ServerEvent]:
        said: list[ServerEvent] = []
        if self._open is None or self._open.call_idx != event.call_idx:
            said += self._close("completed")
            item = Item(
                id=self.new_id("item"),
                kind="function_call",
                role="assistant",
                call_id=event.id or self.new_id("call"),
                name=event.name or "",
                status="in_progress",
            )
            said += self._begin(item, call_idx=event.call_idx)
        assert self._open is not None
        item = self._open.item
        item.arguments += event.arguments
        if event.arguments:
            said.append(
                ArgumentsDelta(
                    response_id=self.plan.id,
                    item_id=item.id,
                    output_index=self._open.index,
                    call_id=item.call_id,
                    delta=event.arguments,
                )
            )
        return said

    def _message(self) -> list[ServerEvent]:
        """See to it that a message is open."""
        if self._open is not None and self._open.call_idx is None:
            return []
        said = self._close("completed")
        kind = "output_audio" if self.plan.speaks else "output_text"
        part = ItemPart(kind=kind, loudness=Loudness())  # type: ignore[arg-type]  # one of two names
        item = Item(id=self.new_id("item"), role="assistant", status="in_progress")
        said += self._begin(item)
        item.parts.append(part)
        said.append(PartAdded(**self._place(), part=part.wire()))
        return said

    def _begin(self, item: Item, *, call_idx: int | None = None) -> list[ServerEvent]:
        index = len(self.items)
        previous_id = None if self.conversation is None else self.conversation.add(item)
        self.items.append(item)
        self._open = _Open(item, index, call_idx, previous_id)
        said: list[ServerEvent] = [
            OutputItemAdded(response_id=self.plan.id, output_index=index, item=item.wire())
        ]
        if self.conversation is not None:
            said.append(ItemAdded(previous_item_id=previous_id, item=item.wire()))
        return said

    def _close(self, status: ItemStatus) -> list[ServerEvent]:
        """End the item that is open, if one is."""
        if self._open is None:
            return []
        item, index = self._open.item, self._open.index
        item.status = status
        said: list[ServerEvent] = []
        if item.kind == "message":
            said += self._close_part(is_whole=status == "completed")
        else:
            said.append(
                ArgumentsDone(
                    response_id=self.plan.id,
                    item_id=item.id,
                    output_index=index,
                    call_id=item.call_id,
                    name=item.name,
                    arguments=item.arguments,
                )
            )
        said.append(OutputItemDone(response_id=self.plan.id, output_index=index, item=item.wire()))
        if self.conversation is not None:
            said.append(ItemDone(previous_item_id=self._open.previous_id, item=item.wire()))
        self._open = None
        return said

    def _close_part(self, *, is_whole: bool) -> list[ServerEvent]:
        part = self._part()
        part.is_whole = is_whole
        place = self._place()
        assert self._open is not None
        said: list[ServerEvent] = []
        if not self.plan.speaks:
            said.append(TextDone(**place, text=part.text))
        else:
            if self._open.has_sound:
                said.append(SoundDone(**place))
            said.append(SpokenDone(**place, transcript=part.text))
        return [*said, PartDone(**place, part=part.wire())]

    def _part(self) -> ItemPart:
        assert self._open is not None
        return self._open.item.parts[0]

    def _place(self) -> Place:
        assert self._open is not None
        return {
            "response_id": self.plan.id,
            "item_id": self._open.item.id,
            "output_index": self._open.index,
            "content_index": 0,
        }


def _usage(usage: core.Usage) -> UsageObject:
    """Count as OpenAI does: frames of speech are tokens of the answer."""
    output = usage.completion_tokens + usage.audio_tokens
    return UsageObject(
        total_tokens=usage.prompt_tokens + output,
        input_tokens=usage.prompt_tokens,
        output_tokens=output,
        input_token_details=InputDetails(
            text_tokens=max(usage.prompt_tokens - usage.media_tokens, 0),
            audio_tokens=usage.media_tokens,
            cached_tokens=usage.cached_tokens,
        ),
        output_token_details=OutputDetails(
            text_tokens=usage.completion_tokens, audio_tokens=usage.audio_tokens
        ),
    )
