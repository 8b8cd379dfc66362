"""What a call says to its client, under the names of OpenAI's present API.

Not here: the other dialects' names (dialects).
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from myna.core.errors import ErrorInfo
from myna.server.schemas.answers import Extension

Json = Any  # Any: plain values on their way to the wire.
ItemStatus = Literal["in_progress", "completed", "incomplete"]
ResponseStatus = Literal["in_progress", "completed", "cancelled", "incomplete", "failed"]


class PartObject(msgspec.Struct, kw_only=True):
    """A piece of an item; sound and pictures are named, not sent back."""

    type: str
    text: str | UnsetType = UNSET
    transcript: str | UnsetType | None = UNSET


class ItemObject(msgspec.Struct, kw_only=True):
    """A message, a call or what came of one."""

    id: str
    object: str = "realtime.item"
    type: str
    status: ItemStatus
    role: str | UnsetType = UNSET
    content: list[PartObject] | UnsetType = UNSET
    call_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET
    output: str | UnsetType = UNSET


class ErrorObject(msgspec.Struct, kw_only=True):
    """An error; `event_id` is the client's event that caused it."""

    type: str
    code: str | None
    message: str
    param: str | None = None
    event_id: str | None = None


class StatusDetails(msgspec.Struct, kw_only=True):
    """Why a response ended as it did."""

    type: ResponseStatus
    reason: str | UnsetType = UNSET
    error: ErrorObject | UnsetType = UNSET


class InputDetails(msgspec.Struct, kw_only=True):
    """What was read; what stands for pictures and sounds counts as sound."""

    text_tokens: int
    audio_tokens: int
    cached_tokens: int


class OutputDetails(msgspec.Struct, kw_only=True):
    """What was written and said."""

    text_tokens: int
    audio_tokens: int


class UsageObject(msgspec.Struct, kw_only=True):
    """Tokens of a response."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: InputDetails
    output_token_details: OutputDetails


class ResponseObject(msgspec.Struct, kw_only=True):
    """A response, under way or ended."""

    id: str
    object: str = "realtime.response"
    status: ResponseStatus
    status_details: StatusDetails | None = None
    output: list[ItemObject] = []
    conversation_id: str | None
    output_modalities: list[str]
    max_output_tokens: int | str = "inf"
    audio: dict[str, dict[str, Json]] | UnsetType = UNSET
    usage: UsageObject | None = None
    metadata: dict[str, str] | None = None
    myna: Extension | UnsetType = UNSET


class TranscriptUsage(msgspec.Struct, kw_only=True):
    """What a transcript cost: the length of the sound."""

    seconds: float
    type: str = "duration"


class ServerEvent(msgspec.Struct, kw_only=True, tag_field="type"):
    """Base of all that is said; whoever sends an event numbers it."""

    event_id: str = ""


class SessionCreated(ServerEvent, kw_only=True, tag="session.created"):
    """The call is open."""

    session: msgspec.Struct


class SessionUpdated(ServerEvent, kw_only=True, tag="session.updated"):
    """The set-up is now this."""

    session: msgspec.Struct


class SessionFinished(ServerEvent, kw_only=True, tag="session.finished"):
    """All is said; the connection is closed next."""


class GoingAway(ServerEvent, kw_only=True, tag="session.going_away"):
    """The server is about to stop; answers under way are finished, new ones refused."""


class Error(ServerEvent, kw_only=True, tag="error"):
    """Something asked for was not done; the call goes on."""

    error: ErrorObject


class SpeechStarted(ServerEvent, kw_only=True, tag="input_audio_buffer.speech_started"):
    """The user began to speak."""

    audio_start_ms: int
    item_id: str


class SpeechStopped(ServerEvent, kw_only=True, tag="input_audio_buffer.speech_stopped"):
    """The user ended a turn."""

    audio_end_ms: int
    item_id: str


class AudioCommitted(ServerEvent, kw_only=True, tag="input_audio_buffer.committed"):
    """The turn became an item."""

    item_id: str
    previous_item_id: str | None


class AudioCleared(ServerEvent, kw_only=True, tag="input_audio_buffer.cleared"):
    """The collected sound is forgotten."""


class TimeoutTriggered(ServerEvent, kw_only=True, tag="input_audio_buffer.timeout_triggered"):
    """Nobody said anything for the agreed time."""

    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class ItemAdded(ServerEvent, kw_only=True, tag="conversation.item.added"):
    """An item is part of the conversation, whole or still growing."""

    previous_item_id: str | None
    item: ItemObject


class ItemDone(ServerEvent, kw_only=True, tag="conversation.item.done"):
    """An item will not change any more."""

    previous_item_id: str | None
    item: ItemObject


class ItemRetrieved(ServerEvent, kw_only=True, tag="conversation.item.retrieved"):
    """The item that was asked for."""

    item: ItemObject


class ItemTruncated(ServerEvent, kw_only=True, tag="conversation.item.truncated"):
    """The item was cut to what was heard."""

    item_id: str
    content_index: int
    audio_end_ms: int


class ItemDeleted(ServerEvent, kw_only=True, tag="conversation.item.deleted"):
    """The item is gone."""

    item_id: str


class TranscriptionDelta(
    ServerEvent, kw_only=True, tag="conversation.item.input_audio_transcription.delta"
):
    """More of what the user said."""

    item_id: str
    content_index: int
    delta: str


class TranscriptionDone(
    ServerEvent, kw_only=True, tag="conversation.item.input_audio_transcription.completed"
):
    """All that the user said."""

    item_id: str
    content_index: int
    transcript: str
    usage: TranscriptUsage


class TranscriptionFailed(
    ServerEvent, kw_only=True, tag="conversation.item.input_audio_transcription.failed"
):
    """What the user said could not be written down; the item itself stays."""

    item_id: str
    content_index: int
    error: ErrorObject


class ResponseCreated(ServerEvent, kw_only=True, tag="response.created"):
    """An answer begins."""

    response: ResponseObject


class ResponseDone(ServerEvent, kw_only=True, tag="response.done"):
    """An answer has ended, one way or another."""

    response: ResponseObject


class OutputItemAdded(ServerEvent, kw_only=True, tag="response.output_item.added"):
    """An answer has one more item."""

    response_id: str
    output_index: int
    item: ItemObject


class OutputItemDone(ServerEvent, kw_only=True, tag="response.output_item.done"):
    """An item of an answer is whole."""

    response_id: str
    output_index: int
    item: ItemObject


class PartEvent(ServerEvent, kw_only=True):
    """Base of what concerns one piece of an item of an answer."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int


class Place(TypedDict):
    """Name one piece of an item of an answer: the fields of a `PartEvent`."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int


class PartAdded(PartEvent, kw_only=True, tag="response.content_part.added"):
    """A piece begins."""

    part: PartObject


class PartDone(PartEvent, kw_only=True, tag="response.content_part.done"):
    """A piece is whole."""

    part: PartObject


class TextDelta(PartEvent, kw_only=True, tag="response.output_text.delta"):
    """More text."""

    delta: str


class TextDone(PartEvent, kw_only=True, tag="response.output_text.done"):
    """The whole text."""

    text: str


class SpokenDelta(PartEvent, kw_only=True, tag="response.output_audio_transcript.delta"):
    """More of the words that are spoken."""

    delta: str


class SpokenDone(PartEvent, kw_only=True, tag="response.output_audio_transcript.done"):
    """All words that are spoken."""

    transcript: str


class SoundDelta(PartEvent, kw_only=True, tag="response.output_audio.delta"):
    """More sound, as base64; `myna` tells how fast it is made, once that is known."""

    delta: str
    myna: Extension | UnsetType = UNSET


class SoundDone(PartEvent, kw_only=True, tag="response.output_audio.done"):
    """There is no more sound."""


class ArgumentsDelta(ServerEvent, kw_only=True, tag="response.function_call_arguments.delta"):
    """More of a call's arguments."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str
    delta: str


class ArgumentsDone(ServerEvent, kw_only=True, tag="response.function_call_arguments.done"):
    """A call's whole arguments."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str
    name: str
    arguments: str


def error_object(info: ErrorInfo, *, event_id: str | None = None) -> ErrorObject:
    """Draw an error; `event_id` names the client's event that caused it."""
    return ErrorObject(
        type=info.type, code=info.code, message=info.message, param=info.param, event_id=event_id
    )
