"""How each client names things: tables from the one form that the session speaks.

Source: OpenAI's API reference (present and beta), DashScope's Qwen-Omni-Realtime reference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from myna.core.errors import InvalidRequest
from myna.core.service import ModelCard
from myna.server.limits import check_shape
from myna.server.realtime.config import (
    TOOL_MODES,
    FlatSession,
    GaSession,
    SessionConfig,
    TurnDetection,
)
from myna.server.realtime.server_events import ServerEvent
from myna.server.realtime.sound import Format, pcm_format
from myna.server.schemas.parse import parse
from myna.server.settings import Limits

Json = dict[str, Any]  # Any: an event on its way to the wire, made of typed structs.

BETA_TYPES = {
    "conversation.item.added": "conversation.item.created",
    "conversation.item.done": None,
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}
BETA_PARTS = {"output_text": "text", "output_audio": "audio"}
BETA_FORMATS = {"pcm": "pcm16", "pcmu": "g711_ulaw", "pcma": "g711_alaw"}
USUAL_DETECTION = TurnDetection()
GA_DECODER = msgspec.json.Decoder(GaSession)
FLAT_DECODER = msgspec.json.Decoder(FlatSession)


class SessionObject(msgspec.Struct, kw_only=True):
    """A session as it is told to a client: fields that depend on the dialect."""

    fields: Json


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """Say how one kind of client names things.

    Attributes:
        name: of the dialect.
        shape: of a session.
        types: names of events that differ; `None` for one that is not sent.
        parts: names of pieces that differ.
        input_hz: the rate that a bare format's name means.
        detection: how turns are found if the client says nothing.
    """

    name: str
    shape: Literal["nested", "flat"]
    types: dict[str, str | None] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    input_hz: int = 24_000
    detection: TurnDetection = USUAL_DETECTION

    def begin(self, card: ModelCard) -> SessionConfig:
        """Give the set-up of a call whose client has said nothing yet."""
        return SessionConfig(
            model=card.id,
            input=pcm_format(self.input_hz),
            output=pcm_format(24_000),
            turn_detection=self.detection,
            speaks="audio" in card.outputs,
        )

    def read_session(
        self, raw: bytes, config: SessionConfig, card: ModelCard, *, limits: Limits
    ) -> SessionConfig:
        """Change a set-up as a client asks.

        Raises:
            InvalidRequest: a field is wrong.
            Unsupported: the model cannot do it.
        """
        check_shape(raw, limits=limits)
        try:
            if self.shape == "nested":
                return parse(raw, GA_DECODER, limits=limits).apply(config, card)
            wire = parse(raw, FLAT_DECODER, limits=limits)
            return wire.apply(config, card, input_hz=self.input_hz)
        except InvalidRequest as error:
            if error.param is not None and not error.param.startswith("session"):
                error.param = f"session.{error.param}"
            raise

    def session(self, config: SessionConfig, *, session_id: str, expires_at: int) -> SessionObject:
        """Tell how a call is set up."""
        draw = _nested if self.shape == "nested" else _flat
        head = {"id": session_id, "object": "realtime.session", "model": config.model}
        common: Json = {
            "instructions": config.instructions,
            "tools": [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": msgspec.json.decode(tool.parameters),
                }
                for tool in config.tools
            ],
            "tool_choice": config.tool_choice
            if config.tool_choice in TOOL_MODES
            else {"type": "function", "name": config.tool_choice},
            "expires_at": expires_at,
        }
        return SessionObject(fields=head | common | draw(config))

    def write(self, event: ServerEvent, *, event_id: str) -> bytes | None:
        """Encode an event; `None` for one that this dialect has not."""
        body: Json = msgspec.to_builtins(event)
        body["event_id"] = event_id
        if isinstance(body.get("session"), dict):
            body["session"] = event.session.fields  # type: ignore[attr-defined]  # has one
        name = self.types.get(body["type"], body["type"])
        if name is None:
            return None
        body["type"] = name
        if self.parts:
            self._rename(body)
        return msgspec.json.encode(body)

    def _rename(self, body: Json) -> None:
        for item in (body.get("item"), *(body.get("response") or {}).get("output", ())):
            for part in (item or {}).get("content", ()):
                part["type"] = self.parts.get(part["type"], part["type"])
        if "part" in body:
            body["part"]["type"] = self.parts.get(body["part"]["type"], body["part"]["type"])
        response = body.get("response")
        if response is not None:
            modalities = response.pop("output_modalities")
            response["modalities"] = ["text", "audio"] if "audio" in modalities else modalities
            audio = response.pop("audio", None)
            if audio is not None:
                response["voice"] = audio["output"]["voice"]


def _nested(config: SessionConfig) -> Json:
    return {
        "type": "transcription" if config.only_listens else "realtime",
        "output_modalities": ["audio" if config.speaks else "text"],
        "max_output_tokens": config.max_tokens or "inf",
        "audio": {
            "input": {
                "format": _ga_format(config.input),
                "transcription": _transcription(config),
                "noise_reduction": None,
                "turn_detection": _turns(config.turn_detection),
            },
            "output": {"format": _ga_format(config.output), "voice": config.voice, "speed": 1.0},
        },
    }


def _flat(config: SessionConfig) -> Json:
    return {
        "modalities": ["text", "audio"] if config.speaks else ["text"],
        "voice": config.voice,
        "input_audio_format": BETA_FORMATS[config.input.kind],
        "output_audio_format": BETA_FORMATS[config.output.kind],
        "input_audio_transcription": _transcription(config),
        "turn_detection": _turns(config.turn_detection),
        "temperature": config.temperature,
        "max_response_output_tokens": config.max_tokens or "inf",
    }


def _ga_format(sound: Format) -> Json:
    rate = {"rate": sound.rate_hz} if sound.kind == "pcm" else {}
    return {"type": sound.mime_type, **rate}


def _transcription(config: SessionConfig) -> Json | None:
    wish = config.transcription
    if wish is None:
        return None
    return {"model": wish.model or config.model, "language": wish.language, "prompt": wish.prompt}


def _turns(turns: TurnDetection | None) -> Json | None:
    if turns is None:
        return None
    common: Json = {
        "create_response": turns.create_response,
        "interrupt_response": turns.interrupt_response,
    }
    if turns.is_semantic:
        return {"type": "semantic_vad", "eagerness": turns.eagerness, **common}
    idle_s = turns.idle_timeout_s
    return {
        "type": "server_vad",
        "threshold": turns.threshold,
        "prefix_padding_ms": round(turns.prefix_s * 1000),
        "silence_duration_ms": round(turns.silence_s * 1000),
        "idle_timeout_ms": None if idle_s is None else round(idle_s * 1000),
        **common,
    }


GA = Dialect(name="openai", shape="nested")
BETA = Dialect(name="openai-beta", shape="flat", types=BETA_TYPES, parts=BETA_PARTS)
DASHSCOPE = Dialect(
    name="dashscope",
    shape="flat",
    types=BETA_TYPES,
    parts=BETA_PARTS,
    input_hz=16_000,
    detection=TurnDetection(threshold=0.2, silence_s=0.8),
)


def dialect_of(raw: bytes, *, usual: Dialect) -> Dialect:
    """Tell OpenAI's two dialects apart by the shape of a session's first change."""
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]) if raw[:1] == b"{" else {}
    if fields.keys() & {"type", "audio", "output_modalities"}:
        return GA
    flat = set(FlatSession.__struct_fields__) - set(GaSession.__struct_fields__)
    return BETA if fields.keys() & flat else usual
