"""`/api/...` on the wire, as Ollama's clients speak it; durations are in nanoseconds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from myna.server.schemas.chat import FunctionName
from myna.server.schemas.sampling import (
    MAX_SEED,
    MAX_TOKENS,
    Fraction,
    JsonObject,
    Name,
    Penalty,
    Stop,
)

Images = Annotated[list[str], Meta(max_length=64)]
ModelName = Annotated[str, Meta(min_length=1, max_length=256)]
Arguments = dict[str, Any]  # Any: what a function is called with, handed on without a look.


class Options(msgspec.Struct, kw_only=True):
    """How to choose tokens; the length of the context is that of the loaded model."""

    num_predict: Annotated[int, Meta(ge=-2, le=MAX_TOKENS)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=MAX_TOKENS)] | None = None
    top_p: Fraction | None = None
    min_p: Fraction | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Annotated[int, Meta(ge=-MAX_SEED - 1, le=MAX_SEED)] | None = None
    stop: Stop | Annotated[list[Stop], Meta(max_length=16)] | None = None


class CalledFunction(msgspec.Struct, kw_only=True):
    """A function with its arguments, which are an object here."""

    name: FunctionName
    arguments: Arguments = {}


class OllamaToolCall(msgspec.Struct, kw_only=True):
    """A call of a tool."""

    function: CalledFunction
    id: Name | UnsetType = UNSET


class OllamaMessage(msgspec.Struct, kw_only=True):
    """One turn of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str | None = None
    images: Images | None = None
    tool_calls: Annotated[list[OllamaToolCall], Meta(max_length=128)] | None = None
    tool_name: Name | None = None
    tool_call_id: Name | None = None


class OllamaFunction(msgspec.Struct, kw_only=True):
    """A function that the model may call."""

    name: FunctionName
    description: str | None = None
    parameters: JsonObject | None = None


class OllamaTool(msgspec.Struct, kw_only=True):
    """A tool that the model may call."""

    function: OllamaFunction
    type: Literal["function"] = "function"


class Asked(msgspec.Struct, kw_only=True):
    """Fields that chats and continuations share."""

    model: ModelName
    stream: bool | None = None
    format: Literal["", "json"] | JsonObject | None = None
    options: Options | None = None
    think: bool | Literal["low", "medium", "high"] | None = None
    keep_alive: str | float | None = None


class OllamaChatRequest(Asked, kw_only=True):
    """Body of `POST /api/chat`; without messages, it only asks whether the model is there."""

    messages: Annotated[list[OllamaMessage], Meta(max_length=4096)] = []
    tools: Annotated[list[OllamaTool], Meta(max_length=128)] | None = None


class GenerateRequest(Asked, kw_only=True):
    """Body of `POST /api/generate`; without a prompt, it only asks whether the model is there."""

    prompt: str = ""
    suffix: str | None = None
    system: str | None = None
    images: Images | None = None
    raw: bool | None = None


class NameRequest(msgspec.Struct, kw_only=True):
    """Body of requests that name a model; older clients call it `name`."""

    model: Name | None = None
    name: Name | None = None
    stream: bool | None = None


class OllamaAnswer(msgspec.Struct, kw_only=True):
    """A piece of an answer, or all of it; what it took comes with the last piece."""

    model: str
    created_at: str
    message: AnswerMessage | UnsetType = UNSET
    response: str | UnsetType = UNSET
    thinking: str | UnsetType = UNSET
    done: bool = False
    done_reason: str | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET


class AnswerMessage(msgspec.Struct, kw_only=True):
    """What the model says."""

    role: str = "assistant"
    content: str = ""
    thinking: str | UnsetType = UNSET
    tool_calls: list[OllamaToolCall] | UnsetType = UNSET


class ModelDetails(msgspec.Struct, kw_only=True):
    """What a model is made of, as far as it is known."""

    parent_model: str = ""
    format: str = "safetensors"
    family: str
    families: list[str]
    parameter_size: str = ""
    quantization_level: str = ""


class Tag(msgspec.Struct, kw_only=True):
    """A model that is here."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: ModelDetails
    expires_at: str | UnsetType = UNSET
    size_vram: int | UnsetType = UNSET


class TagList(msgspec.Struct, kw_only=True):
    """Models that are here, or loaded."""

    models: list[Tag]


class Shown(msgspec.Struct, kw_only=True):
    """What is known about a model."""

    details: ModelDetails
    model_info: dict[str, str | int]
    capabilities: list[str]
    modified_at: str
    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    license: str = ""


class PullStatus(msgspec.Struct, kw_only=True):
    """How far a model has been fetched."""

    status: str
    digest: str | UnsetType = UNSET
    total: int | UnsetType = UNSET
    completed: int | UnsetType = UNSET


class VersionObject(msgspec.Struct, kw_only=True):
    """Which protocol is spoken, and by what."""

    version: str
    server: str
