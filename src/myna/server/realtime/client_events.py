"""What clients of a call say: events of all dialects, validated.

Not here: a session's set-up (config).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from myna.core.errors import InvalidRequest
from myna.server.limits import check_shape
from myna.server.realtime.config import (
    Choice,
    MaxTokens,
    Modalities,
    Text,
    Tools,
    Voice,
    WireFormat,
)
from myna.server.schemas.parse import field_error
from myna.server.schemas.sampling import Name
from myna.server.settings import Limits

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Milliseconds = Annotated[int, Meta(ge=0, le=86_400_000)]
MAX_PARTS = 64


class WirePart(msgspec.Struct, kw_only=True):
    """A piece of a message."""

    type: Literal[
        "input_text", "input_audio", "input_image", "output_text", "output_audio", "text", "audio"
    ]
    text: Text | None = None
    audio: str | None = None
    transcript: Text | None = None
    image_url: str | None = None


class WireItem(msgspec.Struct, kw_only=True):
    """A message, a call of a function, or what came of one; or the id of one that is there."""

    type: Literal["message", "function_call", "function_call_output", "item_reference"] = "message"
    id: Id | None = None
    role: Literal["user", "assistant", "system"] | None = None
    content: Annotated[list[WirePart], Meta(max_length=MAX_PARTS)] | None = None
    call_id: Id | None = None
    name: Name | None = None
    arguments: Text | None = None
    output: Text | None = None


class WireResponseVoice(msgspec.Struct, kw_only=True):
    """How one response is to sound."""

    format: WireFormat | None = None
    voice: Voice | None = None


class WireResponseAudio(msgspec.Struct, kw_only=True):
    """The sound of one response."""

    output: WireResponseVoice | None = None


class WireResponse(msgspec.Struct, kw_only=True):
    """Wishes for one response, in either dialect; what is left out is the session's."""

    output_modalities: Modalities | None = None
    modalities: Modalities | None = None
    instructions: Text | None = None
    audio: WireResponseAudio | None = None
    voice: Voice | None = None
    tools: Tools | None = None
    tool_choice: Choice | None = None
    max_output_tokens: MaxTokens | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    conversation: Literal["auto", "none"] | None = None
    input: Annotated[list[WireItem], Meta(max_length=1024)] | None = None
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | None = None


class ClientEvent(msgspec.Struct, kw_only=True, tag_field="type"):
    """Base of all that a client may say."""

    event_id: Name | None = None


class SessionUpdate(ClientEvent, kw_only=True, tag="session.update"):
    """Change the set-up; the session is read by its dialect."""

    session: msgspec.Raw


class AudioAppend(ClientEvent, kw_only=True, tag="input_audio_buffer.append"):
    """Send sound."""

    audio: str


class AudioCommit(ClientEvent, kw_only=True, tag="input_audio_buffer.commit"):
    """End a turn by hand."""


class AudioClear(ClientEvent, kw_only=True, tag="input_audio_buffer.clear"):
    """Forget the sound that is not yet part of a turn."""


class ImageAppend(ClientEvent, kw_only=True, tag="input_image_buffer.append"):
    """Send what a camera sees; it becomes part of the next turn."""

    image: str


class ItemCreate(ClientEvent, kw_only=True, tag="conversation.item.create"):
    """Add to the conversation; `root` is before all else."""

    item: WireItem
    previous_item_id: Name | None = None


class ItemRetrieve(ClientEvent, kw_only=True, tag="conversation.item.retrieve"):
    """Ask for an item."""

    item_id: Id


class ItemTruncate(ClientEvent, kw_only=True, tag="conversation.item.truncate"):
    """Cut a spoken item to what was heard of it."""

    item_id: Id
    content_index: Annotated[int, Meta(ge=0, le=MAX_PARTS)] = 0
    audio_end_ms: Milliseconds


class ItemDelete(ClientEvent, kw_only=True, tag="conversation.item.delete"):
    """Remove an item."""

    item_id: Id


class ResponseCreate(ClientEvent, kw_only=True, tag="response.create"):
    """Ask for an answer now."""

    response: WireResponse | None = None


class ResponseCancel(ClientEvent, kw_only=True, tag="response.cancel"):
    """Stop an answer."""

    response_id: Id | None = None


class OutputClear(ClientEvent, kw_only=True, tag="output_audio_buffer.clear"):
    """Stop speaking; the same as `response.cancel` here, where the client plays the sound."""


class SessionFinish(ClientEvent, kw_only=True, tag="session.finish"):
    """End the call in good order."""


AnyClientEvent = (
    SessionUpdate
    | AudioAppend
    | AudioCommit
    | AudioClear
    | ImageAppend
    | ItemCreate
    | ItemRetrieve
    | ItemTruncate
    | ItemDelete
    | ResponseCreate
    | ResponseCancel
    | OutputClear
    | SessionFinish
)


class _Head(msgspec.Struct):
    """Peeks at an event that cannot be read whole."""

    type: str | UnsetType = UNSET
    event_id: str | UnsetType | None = UNSET


DECODER: msgspec.json.Decoder[AnyClientEvent] = msgspec.json.Decoder(AnyClientEvent)
HEAD = msgspec.json.Decoder(_Head)
NAMES = tuple(kind.__struct_config__.tag for kind in AnyClientEvent.__args__)


def read_event(text: str, *, limits: Limits) -> AnyClientEvent:
    """Read one event.

    Raises:
        InvalidRequest: it is no JSON, of no known type, or a field is wrong.
    """
    data = text.encode("utf-8", "surrogatepass")
    check_shape(data, limits=limits)
    try:
        return DECODER.decode(data)
    except msgspec.ValidationError as error:
        kind = _head(data).type
        if kind is UNSET:
            message = "The event has no `type`, or one that is no text; name one."
            raise InvalidRequest(message, param="type", code="missing_required_parameter") from None
        if kind not in NAMES:
            raise InvalidRequest(
                f"There is no event {kind[:80]!r}; there are {', '.join(map(str, NAMES))}.",
                param="type",
            ) from None
        raise field_error(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"The event is not valid JSON: {error}.", code="invalid_json"
        ) from None


def event_id_of(text: str) -> str | None:
    """Find the id that a client gave an event, as far as it can be read."""
    event_id = _head(text.encode("utf-8", "surrogatepass")).event_id
    return event_id[:256] if isinstance(event_id, str) else None


def _head(data: bytes) -> _Head:
    try:
        return HEAD.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Head()
