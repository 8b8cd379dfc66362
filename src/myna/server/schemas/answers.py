"""What the server answers: models, chat completions and raw completions, whole and in chunks."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from myna.core.events import FinishReason


class PromptDetails(msgspec.Struct, kw_only=True):
    """Details of the prompt's tokens; without media, nothing is said of them."""

    cached_tokens: int = 0
    media_tokens: int | UnsetType = UNSET


class CompletionDetails(msgspec.Struct, kw_only=True):
    """Details of the answer's tokens; without speech, nothing is said of it."""

    reasoning_tokens: int = 0
    audio_tokens: int | UnsetType = UNSET


class UsageObject(msgspec.Struct, kw_only=True):
    """Tokens of a whole request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class TopLogprob(msgspec.Struct, kw_only=True):
    """A token that might have been chosen."""

    token: str
    logprob: float | None
    bytes: list[int]


class ChosenLogprob(TopLogprob, kw_only=True):
    """A chosen token and the likeliest ones in its place."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(msgspec.Struct, kw_only=True):
    """Log-probabilities of a chat answer."""

    content: list[ChosenLogprob]
    refusal: None = None


class FunctionText(msgspec.Struct, kw_only=True):
    """A called function; in chunks the name comes first and the arguments bit by bit."""

    name: str | UnsetType = UNSET
    arguments: str = ""


class ToolCallObject(msgspec.Struct, kw_only=True):
    """A tool call; `index` is set in chunks only."""

    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    function: FunctionText


class AudioMetadata(msgspec.Struct, kw_only=True):
    """What sound is made of."""

    format: str
    sample_rate_hz: int
    channels: int


class AudioObject(msgspec.Struct, kw_only=True):
    """The sound of a spoken answer, in base64."""

    id: str
    data: str
    expires_at: int
    transcript: str


class AudioDeltaObject(msgspec.Struct, kw_only=True):
    """What a chunk adds to the sound."""

    id: str | UnsetType = UNSET
    transcript: str | UnsetType = UNSET
    data: str | UnsetType = UNSET
    expires_at: int | UnsetType = UNSET


class AssistantMessage(msgspec.Struct, kw_only=True):
    """The whole answer of one choice; reasoning is given under both names that clients read."""

    role: str = "assistant"
    content: str | None
    refusal: None = None
    annotations: list[None] = []
    reasoning: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCallObject] | UnsetType = UNSET
    audio: AudioObject | UnsetType = UNSET
    audio_metadata: AudioMetadata | UnsetType = UNSET


class ChatChoice(msgspec.Struct, kw_only=True):
    """One of the asked-for answers."""

    index: int
    message: AssistantMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason


class Extension(msgspec.Struct, kw_only=True):
    """What no other server says; it stands under `myna`, which other clients pass over.

    `realtime_factor` is the seconds that a second of sound lately took to make. Above 1, a player
    that holds back a share of 1 - 1 / factor of an answer plays it without gaps.
    """

    realtime_factor: float


class ChatCompletion(msgspec.Struct, kw_only=True):
    """A whole answer."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageObject
    system_fingerprint: None = None
    metadata: dict[str, str] | UnsetType = UNSET
    myna: Extension | UnsetType = UNSET


class Delta(msgspec.Struct, kw_only=True):
    """What a chunk adds to a message."""

    role: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCallObject] | UnsetType = UNSET
    audio: AudioDeltaObject | UnsetType = UNSET
    audio_metadata: AudioMetadata | UnsetType = UNSET


class ChunkChoice(msgspec.Struct, kw_only=True):
    """What a chunk adds to one choice."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None = None
    finish_reason: FinishReason | None = None


class ChatChunk(msgspec.Struct, kw_only=True):
    """One event of a streamed answer.

    `usage` is there only if the client asked for it, `myna` once the speed of speech is known.
    """

    id: str
    object: str = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    system_fingerprint: None = None
    usage: UsageObject | UnsetType | None = UNSET
    myna: Extension | UnsetType = UNSET


class LegacyLogprobs(msgspec.Struct, kw_only=True):
    """Log-probabilities of raw completions, as columns; the first token of all has none."""

    text_offset: list[int]
    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]


class TextChoice(msgspec.Struct, kw_only=True):
    """One of the asked-for continuations, or what a chunk adds to it."""

    index: int
    text: str
    logprobs: LegacyLogprobs | None = None
    finish_reason: str | None = None


class TextCompletion(msgspec.Struct, kw_only=True):
    """Raw completions, whole or as one event of a stream."""

    id: str
    object: str = "text_completion"
    created: int
    model: str
    choices: list[TextChoice]
    system_fingerprint: None = None
    usage: UsageObject | UnsetType | None = UNSET


class Modalities(msgspec.Struct, kw_only=True):
    """What goes in and what comes out."""

    input: tuple[str, ...]
    output: tuple[str, ...]


class ModelObject(msgspec.Struct, kw_only=True):
    """A served model; the first four fields are OpenAI's."""

    id: str
    object: str = "model"
    created: int
    owned_by: str
    modalities: Modalities
    context_length: int
    capabilities: tuple[str, ...]
    voices: tuple[str, ...]
    quantization: str | None
    size_bytes: int | None
    status: str = "loaded"


class ModelList(msgspec.Struct, kw_only=True):
    """All served models."""

    object: str = "list"
    data: list[ModelObject]
