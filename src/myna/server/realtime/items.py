"""Items as clients write them -> items of the conversation."""

from __future__ import annotations

import numpy as np

from myna.core.errors import InvalidRequest, TooLarge, Unsupported
from myna.core.service import ModelCard
from myna.media.data_url import decode_base64, parse_data_url
from myna.media.encode import SAMPLE_BYTES, wav_header
from myna.server.realtime.client_events import WireItem, WirePart
from myna.server.realtime.conversation import Item, ItemPart, PartKind
from myna.server.realtime.limits import RealtimeLimits
from myna.server.realtime.sound import Format, decode

# The beta's names for pieces of an answer.
OLD_NAMES: dict[str, PartKind] = {"text": "output_text", "audio": "output_audio"}
PARTS_OF = {
    "user": ("input_text", "input_audio", "input_image"),
    "system": ("input_text",),
    "assistant": ("output_text", "output_audio"),
}
INPUTS = {"input_audio": "audio", "input_image": "image"}


def item_of(
    wire: WireItem, *, item_id: str, call_id: str, sound: Format, limits: RealtimeLimits,
    card: ModelCard,
) -> Item:  # fmt: skip
    """Translate an item.

    Args:
        wire: as the client wrote it.
        item_id: its id, if the client gave none.
        call_id: of a call to which the client gave none.
        sound: the format of bare sound in it.
        limits: of the call.
        card: of the model that is to take it.

    Raises:
        InvalidRequest: a field is missing or does not fit the others.
        Unsupported: the model does not take such a piece.
        TooLarge: a piece is too large.
    """
    item_id = wire.id or item_id
    match wire.type:
        case "function_call":
            return Item(
                id=item_id,
                kind="function_call",
                role="assistant",
                call_id=wire.call_id or call_id,
                name=_needed(wire.name, "item.name"),
                arguments=_needed(wire.arguments, "item.arguments"),
            )
        case "function_call_output":
            return Item(
                id=item_id,
                kind="function_call_output",
                role="tool",
                call_id=_needed(wire.call_id, "item.call_id"),
                output=_needed(wire.output, "item.output"),
            )
        case "item_reference":
            raise InvalidRequest(
                "An `item_reference` names an item that is there; it cannot be added.",
                param="item.type",
            )
    role = _needed(wire.role, "item.role")
    parts = [
        _part(part, role, sound=sound, limits=limits, card=card, param=f"item.content[{idx}]")
        for idx, part in enumerate(wire.content or ())
    ]
    return Item(id=item_id, role=wire.role or "user", parts=parts)


def wav_of(data: bytes, sound: Format) -> bytes:
    """Put bare sound into a WAV file."""
    if len(data) % sound.sample_bytes:
        raise InvalidRequest(
            f"the sound has {len(data)} bytes, which are no whole samples; send whole samples",
            param="audio",
        )
    pcm = decode(data, sound.kind).astype(np.dtype("<i2")).tobytes()
    return wav_header(rate_hz=sound.rate_hz, num_samples=len(pcm) // SAMPLE_BYTES) + pcm


def _part(
    wire: WirePart, role: str, *, sound: Format, limits: RealtimeLimits, card: ModelCard, param: str
) -> ItemPart:  # fmt: skip
    kind: PartKind = OLD_NAMES.get(wire.type, wire.type)  # type: ignore[arg-type]  # all names of both
    if role == "user" and kind == "output_text":
        kind = "input_text"
    if kind not in PARTS_OF[role]:
        raise InvalidRequest(
            f"A message of role {role!r} holds {', '.join(PARTS_OF[role])}, not {wire.type!r}.",
            param=f"{param}.type",
        )
    if kind in INPUTS and INPUTS[kind] not in card.inputs:
        raise Unsupported(
            f"{card.id!r} takes {', '.join(card.inputs)}, not {INPUTS[kind]}.", param=param
        )
    match kind:
        case "input_audio":
            data = decode_base64(_needed(wire.audio, f"{param}.audio"))
            if len(data) > limits.max_turn_s * sound.rate_hz * sound.sample_bytes:
                raise TooLarge(
                    f"The sound lasts longer than {limits.max_turn_s:g} s; send less at once.",
                    param=f"{param}.audio",
                )
            return ItemPart(kind=kind, data=wav_of(data, sound), text=wire.transcript or "")
        case "input_image":
            picture = parse_data_url(_needed(wire.image_url, f"{param}.image_url")).data
            if len(picture) > limits.max_image_bytes:
                raise TooLarge(
                    f"The picture has {len(picture)} bytes, above {limits.max_image_bytes}; make "
                    "it smaller.",
                    param=f"{param}.image_url",
                )
            return ItemPart(kind=kind, data=picture)
        case "output_audio":
            return ItemPart(kind=kind, text=wire.transcript or wire.text or "")
    return ItemPart(kind=kind, text=_needed(wire.text, f"{param}.text"))


def _needed(value: str | None, param: str) -> str:
    if value is None:
        raise InvalidRequest(
            f"`{param}` is missing; it is required.",
            param=param,
            code="missing_required_parameter",
        )
    return value
