"""How a call is set up: what is heard, what is said, who takes turns.

Both dialects' wire forms change one neutral form. What a client leaves out stays as it was, a null
switches off, and what the model cannot do is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from myna.core.errors import InvalidRequest, Unsupported
from myna.core.messages import Tool
from myna.core.service import ModelCard
from myna.server.realtime.sound import Format, g711_format, pcm_format
from myna.server.schemas.media import VoiceReference
from myna.server.schemas.sampling import JsonObject, Name
from myna.server.speech import voice_of
from myna.server.translate import limit_tools

MAX_TOOLS = 128
TOOL_MODES = ("none", "auto", "required")  # any other choice is the name of a tool
Modality = Literal["text", "audio"]
Modalities = Annotated[list[Modality], Meta(min_length=1, max_length=2)]
MaxTokens = Annotated[int, Meta(ge=1, le=2**31 - 1)] | Literal["inf"]
Text = Annotated[str, Meta(max_length=262_144)]
# Eagerness -> by how much the silences of semantic turns are stretched.
PATIENCE = {"low": 1.6, "medium": 1.0, "auto": 1.0, "high": 0.6}


class TurnDetection(msgspec.Struct, frozen=True, kw_only=True):
    """Say how the server finds turns; with `is_semantic`, silence is judged by what was said."""

    threshold: float = 0.5
    prefix_s: float = 0.3
    silence_s: float = 0.5
    is_semantic: bool = False
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_s: float | None = None


class Transcription(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for what the user says to be written down too."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Hold how a call is set up, in nobody's dialect.

    `only_listens` is a session that transcribes and never answers.
    """

    model: str
    input: Format
    output: Format
    turn_detection: TurnDetection | None
    speaks: bool
    voice: str | None = None
    instructions: str = ""
    transcription: Transcription | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    max_tokens: int | None = None
    temperature: float | None = None
    only_listens: bool = False


class WireTurnDetection(msgspec.Struct, kw_only=True):
    """Turn detection, the same in all dialects; DashScope's thresholds begin at -1."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: Annotated[float, Meta(ge=-1, le=1)] | None = None
    prefix_padding_ms: Annotated[float, Meta(ge=0, le=5000)] | None = None
    silence_duration_ms: Annotated[float, Meta(ge=100, le=10_000)] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None
    idle_timeout_ms: Annotated[float, Meta(ge=100, le=600_000)] | None = None
    eagerness: Literal["low", "medium", "high", "auto"] | None = None


class WireTranscription(msgspec.Struct, kw_only=True):
    """A wish for transcripts; the model that answers also writes them."""

    model: Name | None = None
    language: Annotated[str, Meta(pattern="^[A-Za-z -]{2,32}$")] | None = None
    prompt: Annotated[str, Meta(max_length=16_384)] | None = None


class WireTool(msgspec.Struct, kw_only=True):
    """A function that the model may call."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    type: Literal["function"] = "function"
    description: str | None = None
    parameters: JsonObject | None = None


class WireToolChoice(msgspec.Struct, kw_only=True):
    """A choice of one function."""

    name: Name
    type: Literal["function"] = "function"


Tools = Annotated[list[WireTool], Meta(max_length=MAX_TOOLS)]
Choice = Literal["none", "auto", "required"] | WireToolChoice
Voice = Name | VoiceReference


class WireFormat(msgspec.Struct, kw_only=True):
    """A format of bare samples."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: Literal[8000, 16000, 24000, 48000] | None = None


class WireInput(msgspec.Struct, kw_only=True):
    """How a call hears. Noise reduction is taken and not done; the session's echo says null."""

    format: WireFormat | UnsetType | None = UNSET
    transcription: WireTranscription | UnsetType | None = UNSET
    turn_detection: WireTurnDetection | UnsetType | None = UNSET
    noise_reduction: dict[str, Any] | UnsetType | None = UNSET  # Any: is not read.


class WireOutput(msgspec.Struct, kw_only=True):
    """How a call speaks."""

    format: WireFormat | UnsetType | None = UNSET
    voice: Voice | UnsetType = UNSET
    speed: float | UnsetType = UNSET


class WireAudio(msgspec.Struct, kw_only=True):
    """How a call sounds both ways."""

    input: WireInput | UnsetType = UNSET
    output: WireOutput | UnsetType = UNSET


class GaSession(msgspec.Struct, kw_only=True):
    """A session as OpenAI's present API writes it; it is nested."""

    type: Literal["realtime", "transcription"] = "realtime"
    output_modalities: Modalities | UnsetType = UNSET
    instructions: Text | UnsetType = UNSET
    audio: WireAudio | UnsetType = UNSET
    tools: Tools | UnsetType = UNSET
    tool_choice: Choice | UnsetType = UNSET
    max_output_tokens: MaxTokens | UnsetType = UNSET

    def apply(self, config: SessionConfig, card: ModelCard) -> SessionConfig:
        """Change a set-up."""
        heard = self.audio.input if self.audio else UNSET
        said = self.audio.output if self.audio else UNSET
        changes: dict[str, object] = {"only_listens": self.type == "transcription"}
        if heard:
            if heard.format:
                changes["input"] = wire_format(heard.format)
            changes |= _listening(heard.transcription, heard.turn_detection, config)
        if said:
            if said.format:
                changes["output"] = wire_format(said.format)
            _check_speed(said.speed)
        voice = said.voice if said else UNSET
        changes |= _speaking(self.output_modalities, voice, card, param="audio.output.voice")
        changes |= _calling(self.tools, self.tool_choice, config)
        changes |= _writing(self.instructions, self.max_output_tokens)
        return msgspec.structs.replace(config, **changes)


class FlatSession(msgspec.Struct, kw_only=True):
    """A session as OpenAI's beta, and DashScope, write it: flat."""

    modalities: Modalities | UnsetType = UNSET
    instructions: Text | UnsetType = UNSET
    voice: Voice | UnsetType = UNSET
    input_audio_format: Name | UnsetType = UNSET
    output_audio_format: Name | UnsetType = UNSET
    input_audio_transcription: WireTranscription | UnsetType | None = UNSET
    turn_detection: WireTurnDetection | UnsetType | None = UNSET
    tools: Tools | UnsetType = UNSET
    tool_choice: Choice | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType | None = UNSET
    max_response_output_tokens: MaxTokens | UnsetType = UNSET
    speed: float | UnsetType = UNSET

    def apply(
        self, config: SessionConfig, card: ModelCard, *, input_hz: int = 24_000
    ) -> SessionConfig:
        """Change a set-up; a format's bare name means `input_hz` where sound comes in."""
        changes: dict[str, object] = {}
        if self.input_audio_format is not UNSET:
            changes["input"] = named_format(self.input_audio_format, rate_hz=input_hz)
        if self.output_audio_format is not UNSET:
            changes["output"] = named_format(self.output_audio_format, rate_hz=24_000)
        if self.temperature is not UNSET:
            changes["temperature"] = self.temperature
        _check_speed(self.speed)
        changes |= _listening(self.input_audio_transcription, self.turn_detection, config)
        changes |= _speaking(self.modalities, self.voice, card, param="voice")
        changes |= _calling(self.tools, self.tool_choice, config)
        changes |= _writing(self.instructions, self.max_response_output_tokens)
        return msgspec.structs.replace(config, **changes)


def named_format(name: str, *, rate_hz: int) -> Format:
    """Find the format that a bare name means.

    Raises:
        InvalidRequest: it means none.
    """
    match name:
        case "pcm16" | "pcm":
            return pcm_format(rate_hz)
        case "pcm24":
            return pcm_format(24_000)
        case "g711_ulaw" | "g711_alaw":
            return g711_format("pcmu" if name == "g711_ulaw" else "pcma")
    raise InvalidRequest(
        f"there is no audio format {name!r}; take pcm16, g711_ulaw or g711_alaw",
        param="session.input_audio_format",
    )


def tools_of(wire: list[WireTool]) -> tuple[Tool, ...]:
    """Translate functions."""
    return tuple(
        Tool(
            name=tool.name,
            description=tool.description,
            parameters=msgspec.json.encode(tool.parameters or {}).decode(),
        )
        for tool in wire
    )


def choose_tools(tools: tuple[Tool, ...], choice: str) -> tuple[tuple[Tool, ...], str]:
    """Leave only the tools that a choice allows; the name of one makes it required.

    Raises:
        InvalidRequest: a tool is required that is not there.
    """
    if choice in TOOL_MODES:
        return limit_tools(tools, None, choice)
    return limit_tools(tools, {choice}, "required")


def wire_format(wire: WireFormat) -> Format:
    """Find the format that a client means; bare PCM is at the rate that speech has."""
    if wire.type == "audio/pcm":
        return pcm_format(wire.rate or 24_000)
    return g711_format("pcmu" if wire.type == "audio/pcmu" else "pcma")


def _listening(
    transcription: WireTranscription | UnsetType | None,
    turns: WireTurnDetection | UnsetType | None,
    config: SessionConfig,
) -> dict[str, object]:
    changes: dict[str, object] = {}
    if transcription is None:
        changes["transcription"] = None
    elif transcription:
        changes["transcription"] = Transcription(
            model=transcription.model,
            language=transcription.language,
            prompt=transcription.prompt,
        )
    if turns is None:
        changes["turn_detection"] = None
    elif turns:
        changes["turn_detection"] = _turns(turns, config.turn_detection or TurnDetection())
    return changes


def _turns(wire: WireTurnDetection, old: TurnDetection) -> TurnDetection:
    changes = {
        "threshold": None if wire.threshold is None else max(wire.threshold, 0.05),
        "prefix_s": _seconds(wire.prefix_padding_ms),
        "silence_s": _seconds(wire.silence_duration_ms),
        "create_response": wire.create_response,
        "interrupt_response": wire.interrupt_response,
        "idle_timeout_s": _seconds(wire.idle_timeout_ms),
        "eagerness": wire.eagerness,
        "is_semantic": wire.type == "semantic_vad",
    }
    given = {name: value for name, value in changes.items() if value is not None}
    return msgspec.structs.replace(old, **given)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _speaking(
    modalities: list[Modality] | UnsetType,
    voice: str | VoiceReference | UnsetType,
    card: ModelCard,
    *,
    param: str,
) -> dict[str, object]:
    changes: dict[str, object] = {}
    if modalities:
        changes["speaks"] = "audio" in modalities
        if "audio" in modalities and "audio" not in card.outputs:
            outputs = ", ".join(card.outputs)
            raise Unsupported(f"{card.id!r} answers with {outputs} only.", param="modalities")
    if voice is not UNSET:
        changes["voice"] = voice_of(voice, card, param=param)
    return changes


def _calling(
    tools: list[WireTool] | UnsetType, choice: Choice | UnsetType, config: SessionConfig
) -> dict[str, object]:
    changes: dict[str, object] = {}
    left = config.tools
    if tools is not UNSET:
        changes["tools"] = left = tools_of(tools)
    if choice is not UNSET:
        name = choice if isinstance(choice, str) else choice.name
        choose_tools(left, name)
        changes["tool_choice"] = name
    return changes


def _writing(instructions: str | UnsetType, max_tokens: int | str | UnsetType) -> dict[str, object]:
    changes: dict[str, object] = {}
    if instructions is not UNSET:
        changes["instructions"] = instructions
    if max_tokens is not UNSET:
        changes["max_tokens"] = max_tokens if isinstance(max_tokens, int) else None
    return changes


def _check_speed(speed: float | UnsetType) -> None:
    if speed is not UNSET and speed != 1.0:
        raise Unsupported(
            f"`speed` is {speed:g}, but speech has one speed; leave it out.", param="speed"
        )
