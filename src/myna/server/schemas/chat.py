"""`/v1/chat/completions` on the wire: the request."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from myna.server.schemas.media import (
    AudioWish,
    ContentPart,
    Dialect,
    MediaOptions,
    SpokenTurn,
)
from myna.server.schemas.sampling import Count, JsonObject, Name, SamplingFields

Metadata = Annotated[dict[str, Annotated[str, Meta(max_length=512)]], Meta(max_length=16)]
FunctionName = Annotated[str, Meta(min_length=1, max_length=128)]


class FunctionCall(msgspec.Struct, kw_only=True):
    """The function an assistant called; `arguments` is JSON text."""

    name: FunctionName
    arguments: str = "{}"


class AssistantToolCall(msgspec.Struct, kw_only=True):
    """A call in an assistant's message."""

    id: Name
    function: FunctionCall
    type: Literal["function"] = "function"


class ChatMessage(msgspec.Struct, kw_only=True):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[ContentPart], Meta(max_length=1024)] | None = None
    name: Name | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: Annotated[list[AssistantToolCall], Meta(max_length=128)] | None = None
    tool_call_id: Name | None = None
    audio: SpokenTurn | None = None


class Function(msgspec.Struct, kw_only=True):
    """A function that the model may call."""

    name: FunctionName
    description: str | None = None
    parameters: JsonObject | None = None


class ToolDefinition(msgspec.Struct, kw_only=True):
    """A tool; only functions are known here."""

    function: Function
    type: Literal["function"] = "function"


class FunctionReference(msgspec.Struct, kw_only=True):
    """The name of a function."""

    name: FunctionName


class ToolReference(msgspec.Struct, kw_only=True):
    """A tool, by its name."""

    function: FunctionReference
    type: Literal["function"] = "function"


class AllowedTools(msgspec.Struct, kw_only=True):
    """A choice among some of the tools."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[ToolReference], Meta(min_length=1, max_length=128)]


class ToolChoice(msgspec.Struct, kw_only=True):
    """A named tool, or a choice among some of the tools."""

    type: Literal["function", "allowed_tools"]
    function: FunctionReference | None = None
    allowed_tools: AllowedTools | None = None


class JsonSchema(msgspec.Struct, kw_only=True):
    """A schema with a name."""

    schema: JsonObject | None = None
    name: Name = ""


class ResponseFormat(msgspec.Struct, kw_only=True):
    """The language of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    schema: JsonObject | None = None


class TemplateOptions(msgspec.Struct, kw_only=True):
    """What a client may say to the chat template."""

    enable_thinking: bool | None = None


class ChatRequest(SamplingFields, kw_only=True):
    """Body of `POST /v1/chat/completions`.

    With `continue_final_message`, as vLLM names it, the answer goes on where the last message, the
    assistant's, breaks off; without it, a last message of the assistant's is followed by another.
    """

    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=4096)]
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[ToolDefinition], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    modalities: Annotated[list[Literal["text", "audio"]], Meta(max_length=2)] | None = None
    audio: AudioWish | None = None
    audio_dialect: Dialect | None = None
    mm_processor_kwargs: MediaOptions | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    chat_template_kwargs: TemplateOptions | None = None
    enable_thinking: bool | None = None
    thinking_budget: Count | None = None
    store: bool | None = None
    metadata: Metadata | None = None
    user: str | None = None


class ChatChange(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/chat/completions/{id}`: what the client notes about a stored answer."""

    metadata: Metadata | None
