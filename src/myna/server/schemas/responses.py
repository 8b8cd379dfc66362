"""`/v1/responses` on the wire: the request, the answer, the events of a streamed answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from myna.server.schemas.answers import ChosenLogprob
from myna.server.schemas.chat import FunctionName, TemplateOptions
from myna.server.schemas.media import ContentPart, MediaOptions
from myna.server.schemas.sampling import Count, JsonObject, Name, SamplingFields

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
Parts = Annotated[list[ContentPart], Meta(max_length=1024)]


class InputItem(msgspec.Struct, kw_only=True):
    """One item of the input; what its `type` does not name is ignored."""

    type: Annotated[str, Meta(max_length=64)] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | Parts | None = None
    id: Name | None = None
    call_id: Name | None = None
    name: Name | None = None
    arguments: str | None = None
    output: str | Parts | None = None


class TextFormat(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The language of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    name: Name | None = None
    schema: JsonObject | None = None
    description: str | None = None
    strict: bool | None = None


class TextOptions(msgspec.Struct, kw_only=True):
    """What the text is to be."""

    format: TextFormat | None = None
    verbosity: Name | None = None


class ResponseTool(msgspec.Struct, kw_only=True):
    """A tool; only functions can be called here."""

    type: Name
    name: FunctionName | None = None
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class ToolName(msgspec.Struct, kw_only=True):
    """A tool, by its name."""

    type: Name = "function"
    name: FunctionName | None = None


class ResponseToolChoice(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A named tool, or a choice among some of the tools."""

    type: Name
    name: FunctionName | None = None
    mode: Literal["auto", "required"] | None = None
    tools: Annotated[list[ToolName], Meta(max_length=128)] | None = None


class Reasoning(msgspec.Struct, kw_only=True):
    """How much to reason."""

    effort: Effort | None = None
    summary: Name | None = None


class ConversationReference(msgspec.Struct, kw_only=True):
    """A conversation, by its id."""

    id: Name


class ResponsesRequest(SamplingFields, kw_only=True):
    """Body of `POST /v1/responses`."""

    input: str | Annotated[list[InputItem], Meta(max_length=4096)] | None = None
    instructions: str | None = None
    max_output_tokens: Count | None = None
    text: TextOptions | None = None
    tools: Annotated[list[ResponseTool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ResponseToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: Annotated[list[Name], Meta(max_length=32)] | None = None
    previous_response_id: Name | None = None
    conversation: Name | ConversationReference | None = None
    background: bool | None = None
    store: bool | None = None
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | None = None
    truncation: Name | None = None
    user: str | None = None
    mm_processor_kwargs: MediaOptions | None = None
    chat_template_kwargs: TemplateOptions | None = None
    enable_thinking: bool | None = None
    thinking_budget: Count | None = None


class OutputText(msgspec.Struct, kw_only=True, tag_field="type", tag="output_text"):
    """A piece of an answer."""

    text: str = ""
    annotations: list[None] = []
    logprobs: list[ChosenLogprob] = []


class ReasoningText(msgspec.Struct, kw_only=True, tag_field="type", tag="reasoning_text"):
    """A piece of reasoning."""

    text: str = ""


class MessageItem(msgspec.Struct, kw_only=True, tag_field="type", tag="message"):
    """What the model says."""

    id: str
    role: Literal["assistant"] = "assistant"
    status: ItemStatus = "in_progress"
    content: list[OutputText] = []


class ReasoningItem(msgspec.Struct, kw_only=True, tag_field="type", tag="reasoning"):
    """What the model thought before."""

    id: str
    status: ItemStatus = "in_progress"
    summary: list[None] = []
    content: list[ReasoningText] = []


class FunctionCallItem(msgspec.Struct, kw_only=True, tag_field="type", tag="function_call"):
    """A function that the model calls."""

    id: str
    call_id: str
    name: str
    status: ItemStatus = "in_progress"
    arguments: str = ""


OutputItem = MessageItem | ReasoningItem | FunctionCallItem


class InputDetails(msgspec.Struct, kw_only=True):
    """Details of the tokens that went in."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputDetails(msgspec.Struct, kw_only=True):
    """Details of the tokens that came out."""

    reasoning_tokens: int


class ResponseUsage(msgspec.Struct, kw_only=True):
    """Tokens of a response."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class ResponseFault(msgspec.Struct, kw_only=True):
    """Why a response failed."""

    code: str
    message: str


class IncompleteDetails(msgspec.Struct, kw_only=True):
    """Why a response ended early."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ToolObject(msgspec.Struct, kw_only=True):
    """A tool, as it was given."""

    type: str
    name: str
    description: str | None
    parameters: dict[str, Any] | None  # Any: a JSON schema, repeated as it came.
    strict: bool


class ResponseObject(msgspec.Struct, kw_only=True):
    """A response, as far as it has come."""

    id: str
    object: str = "response"
    created_at: int
    status: Literal["in_progress", "completed", "incomplete", "failed"] = "in_progress"
    background: bool = False
    error: ResponseFault | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] = {}
    model: str
    output: list[OutputItem] = []
    parallel_tool_calls: bool = True
    previous_response_id: str | None = None
    reasoning: Reasoning = msgspec.field(default_factory=Reasoning)
    store: bool = True
    temperature: float | None = None
    text: TextOptions = msgspec.field(default_factory=TextOptions)
    tool_choice: str | ResponseToolChoice = "auto"
    tools: list[ToolObject] = []
    top_p: float | None = None
    truncation: str = "disabled"
    usage: ResponseUsage | None = None


class ResponseEvent(msgspec.Struct, kw_only=True):
    """One event of a streamed response; `type` says which of the fields are there."""

    type: str  # the first field, for the event on the wire is named by it
    sequence_number: int
    response: ResponseObject | UnsetType = UNSET
    output_index: int | UnsetType = UNSET
    content_index: int | UnsetType = UNSET
    item_id: str | UnsetType = UNSET
    item: OutputItem | UnsetType = UNSET
    part: OutputText | ReasoningText | UnsetType = UNSET
    delta: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    logprobs: list[ChosenLogprob] | UnsetType = UNSET
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET
    code: str | UnsetType | None = UNSET
    message: str | UnsetType = UNSET
    param: str | UnsetType | None = UNSET


class DeletedObject(msgspec.Struct, kw_only=True):
    """What was deleted."""

    id: str
    object: str
    deleted: bool = True


class InputTextObject(msgspec.Struct, kw_only=True):
    """A piece of a kept input; media are named, not repeated."""

    type: str
    text: str | UnsetType = UNSET


class InputItemObject(msgspec.Struct, kw_only=True):
    """One item of a kept input."""

    id: str
    type: str
    status: ItemStatus = "completed"
    role: str | UnsetType = UNSET
    content: list[InputTextObject] | UnsetType = UNSET
    call_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET
    output: str | UnsetType = UNSET


class InputItemList(msgspec.Struct, kw_only=True):
    """The items that a response answered."""

    object: str = "list"
    data: list[InputItemObject]
    first_id: str
    last_id: str
    has_more: bool = False


class InputTokens(msgspec.Struct, kw_only=True):
    """How many tokens an input takes."""

    object: str = "response.input_tokens"
    input_tokens: int
