"""`/v1/audio/...` on the wire: what is to be heard or spoken, and what comes back."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from myna.server.schemas.media import VoiceReference
from myna.server.schemas.sampling import MAX_SEED, Count, Name

MAX_SPOKEN_CHARS = 65_536


class SpeechRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/audio/speech`; the text may be longer than OpenAI's 4,096 characters."""

    input: Annotated[str, Meta(min_length=1, max_length=MAX_SPOKEN_CHARS)]
    model: Name | None = None
    voice: Name | VoiceReference | None = None
    instructions: str | None = None
    response_format: Name | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    stream_format: Literal["audio", "sse"] | None = None
    seed: Annotated[int, Meta(ge=-MAX_SEED - 1, le=MAX_SEED)] | None = None


class TranscriptionRequest(msgspec.Struct, kw_only=True):
    """Fields of `POST /v1/audio/transcriptions` and `.../translations`, beside the file."""

    model: Name | None = None
    language: Annotated[str, Meta(pattern="^[A-Za-z -]{2,32}$")] | None = None
    prompt: Annotated[str, Meta(max_length=16_384)] | None = None
    response_format: Literal["json", "text", "verbose_json", "srt", "vtt"] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    max_completion_tokens: Count | None = None
    stream: bool | None = None
    timestamp_granularities: Name | None = None
    include: Name | None = None


class AudioUsage(msgspec.Struct, kw_only=True):
    """Tokens of a transcription or of speech."""

    type: str | UnsetType = UNSET
    input_tokens: int
    output_tokens: int
    total_tokens: int


class HeardLogprob(msgspec.Struct, kw_only=True):
    """A token that was heard, and how sure that was."""

    token: str
    logprob: float | None
    bytes: list[int]


class Transcription(msgspec.Struct, kw_only=True):
    """What was heard."""

    text: str
    usage: AudioUsage
    logprobs: list[HeardLogprob] | UnsetType = UNSET


class SegmentObject(msgspec.Struct, kw_only=True):
    """What was heard between two pauses; the fields are Whisper's.

    `no_speech_prob` is not known and always 0: silence is left out before anything is heard.
    """

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float = 0.0


class WordObject(msgspec.Struct, kw_only=True):
    """When a word was said, in seconds."""

    word: str
    start: float
    end: float


class VerboseTranscription(msgspec.Struct, kw_only=True):
    """What was heard, and when.

    `segmentation` tells what segments are, `word_times` how words got their times.
    """

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: list[SegmentObject]
    segmentation: str = "pauses"
    words: list[WordObject] | UnsetType = UNSET
    word_times: Literal["approximate"] | UnsetType = UNSET
    usage: AudioUsage


class TextEvent(msgspec.Struct, kw_only=True):
    """One event of a streamed transcription."""

    type: Literal["transcript.text.delta", "transcript.text.segment", "transcript.text.done"]
    delta: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    start: float | UnsetType = UNSET
    end: float | UnsetType = UNSET
    text: str | UnsetType = UNSET
    logprobs: list[HeardLogprob] | UnsetType = UNSET
    usage: AudioUsage | UnsetType = UNSET


class SoundEvent(msgspec.Struct, kw_only=True):
    """One event of streamed speech."""

    type: Literal["speech.audio.delta", "speech.audio.done"]
    audio: str | UnsetType = UNSET
    usage: AudioUsage | UnsetType = UNSET


class VoiceList(msgspec.Struct, kw_only=True):
    """The voices of a model, and what names of other makers' voices mean."""

    model: str
    voices: tuple[str, ...]
    aliases: dict[str, str]
