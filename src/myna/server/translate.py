"""Wire requests -> core requests. What a model cannot do is refused here, by its card.

Not here: events -> wire answers (render), the model's own defaults.
"""

from __future__ import annotations

import msgspec

from myna.core.errors import InvalidRequest, Unsupported
from myna.core.messages import Message, Part, TextPart, Tool, ToolCall
from myna.core.requests import ChatInput, Constraint, SamplingParams, TextInput, TokenInput
from myna.core.service import ModelCard
from myna.media.fetch import Fetcher
from myna.server.media import PartReader
from myna.server.schemas.chat import ChatMessage, ChatRequest, ResponseFormat, ToolChoice
from myna.server.schemas.completions import CompletionRequest
from myna.server.schemas.media import ContentPart
from myna.server.schemas.responses import ResponsesRequest
from myna.server.schemas.sampling import SamplingFields, StructuredOutputs

ROLES = {"developer": "system", "function": "tool"}


def chat_input(wire: ChatRequest, card: ModelCard, fetcher: Fetcher | None = None) -> ChatInput:
    """Translate a conversation and its tools."""
    if not card.has_chat_template:
        raise Unsupported(
            f"The model {card.id!r} has no chat template; use /v1/completions.", param="messages"
        )
    tools, tool_choice = _tools(wire)
    reader = PartReader(card, wire.mm_processor_kwargs, fetcher=fetcher)
    return ChatInput(
        messages=tuple(
            _message(message, reader, param=f"messages[{idx}]")
            for idx, message in enumerate(wire.messages)
        ),
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=wire.parallel_tool_calls is not False,
        thinking=wish_to_think(wire, wire.reasoning_effort),
        continues=_continues(wire),
    )


def raw_inputs(wire: CompletionRequest) -> list[TextInput | TokenInput]:
    """Tell the four forms of `prompt` apart: text, texts, token ids, lists of token ids."""
    echo = wire.echo is True
    prompt = wire.prompt
    if isinstance(prompt, str):
        return [TextInput(prompt=prompt, echo=echo)]
    texts = [item for item in prompt if isinstance(item, str)]
    token_ids = [item for item in prompt if isinstance(item, int)]
    lists = [item for item in prompt if isinstance(item, list)]
    if len(texts) == len(prompt):
        return [TextInput(prompt=text, echo=echo) for text in texts]
    if len(token_ids) == len(prompt):
        return [TokenInput(token_ids=tuple(token_ids), echo=echo)]
    if len(lists) == len(prompt):
        return [TokenInput(token_ids=tuple(ids), echo=echo) for ids in lists]
    raise InvalidRequest(
        "`prompt` mixes texts, token ids and lists; send one kind.", param="prompt"
    )


def sampling_params(
    wire: SamplingFields, *, logprobs: int | None, max_tokens: int | None
) -> SamplingParams:
    """Translate the fields that choose tokens."""
    min_tokens = wire.min_tokens or 0
    if max_tokens is not None and min_tokens > max_tokens:
        raise InvalidRequest(
            f"`min_tokens` is {min_tokens} but `max_tokens` is {max_tokens}; lower it.",
            param="min_tokens",
        )
    stop = wire.stop or ()
    return SamplingParams(
        temperature=wire.temperature,
        top_k=None if wire.top_k is None else max(wire.top_k, 0),
        top_p=wire.top_p,
        min_p=wire.min_p,
        repetition_penalty=wire.repetition_penalty,
        presence_penalty=wire.presence_penalty,
        frequency_penalty=wire.frequency_penalty,
        seed=wire.seed,
        logit_bias=_logit_bias(wire.logit_bias or {}),
        max_tokens=max_tokens,
        min_tokens=min_tokens,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        ignore_eos=wire.ignore_eos is True,
        logprobs=logprobs,
    )


def constraint(
    response_format: ResponseFormat | None, structured: StructuredOutputs | None
) -> Constraint | None:
    """Translate the language of the answer; `response_format` wins where both are given."""
    if response_format is not None and response_format.type != "text":
        return _response_format(response_format)
    if structured is None:
        return None
    if structured.json is not None:
        schema = structured.json
        source = schema if isinstance(schema, str) else _json_text(schema)
        return Constraint(kind="json_schema", source=source)
    if structured.regex is not None:
        return Constraint(kind="regex", source=structured.regex)
    if structured.grammar is not None:
        return Constraint(kind="lark", source=structured.grammar)
    return None


def limit_tools(
    tools: tuple[Tool, ...], names: set[str] | None, mode: str
) -> tuple[tuple[Tool, ...], str]:
    """Leave only the tools that a choice names, or all where it names none; repeat its mode.

    Raises:
        InvalidRequest: a tool is named or required that is not there.
    """
    if names is not None:
        for name in sorted(names - {tool.name for tool in tools}):
            raise InvalidRequest(
                f"`tool_choice` names {name!r}, which is not in `tools`.", param="tool_choice"
            )
        tools = tuple(tool for tool in tools if tool.name in names)
    if mode == "required" and not tools:
        raise InvalidRequest("`tool_choice` is required but `tools` is empty.", param="tool_choice")
    return tools, mode


def wish_to_think(wire: ChatRequest | ResponsesRequest, effort: str | None) -> bool | None:
    """Find the wish about reasoning; the most exact of the fields that clients use wins."""
    options = wire.chat_template_kwargs
    if options is not None and options.enable_thinking is not None:
        return options.enable_thinking
    if wire.enable_thinking is not None:
        return wire.enable_thinking
    return None if effort is None else effort != "none"


def parts_of(
    wire: str | list[ContentPart] | None, reader: PartReader, *, param: str
) -> tuple[Part, ...]:
    """Read what a turn holds: nothing, a text, or a list of parts."""
    if wire is None:
        return ()
    if isinstance(wire, str):
        return (TextPart(wire),)
    return tuple(reader.read(part, param=f"{param}[{idx}]") for idx, part in enumerate(wire))


def _response_format(wire: ResponseFormat) -> Constraint:
    schema = wire.schema
    if wire.type == "json_schema":
        if wire.json_schema is None:
            raise InvalidRequest(
                "`response_format` of type json_schema needs `json_schema`.",
                param="response_format.json_schema",
                code="missing_required_parameter",
            )
        schema = wire.json_schema.schema
    if schema is None:
        return Constraint(kind="json_object")
    return Constraint(kind="json_schema", source=_json_text(schema))


def _message(wire: ChatMessage, reader: PartReader, *, param: str) -> Message:
    role = ROLES.get(wire.role, wire.role)
    calls = wire.tool_calls or ()
    if role == "tool" and wire.tool_call_id is None and wire.role != "function":
        raise InvalidRequest(
            "A tool's message needs the `tool_call_id` that it answers.",
            param=f"{param}.tool_call_id",
            code="missing_required_parameter",
        )
    if wire.audio is not None and not wire.content:
        raise Unsupported(
            "Spoken turns are not kept; send the transcript as the message's `content`.",
            param=f"{param}.audio",
        )
    return msgspec.convert(
        {
            "role": role,
            "content": parts_of(wire.content, reader, param=f"{param}.content"),
            "name": wire.name,
            "reasoning": wire.reasoning or wire.reasoning_content,
            "tool_calls": tuple(
                ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
                for call in calls
            ),
            "tool_call_id": wire.tool_call_id,
        },
        Message,
    )


def _continues(wire: ChatRequest) -> bool:
    """Tell whether the last message is to be written on."""
    continues = wire.continue_final_message is True
    param = "continue_final_message" if continues else "add_generation_prompt"
    problem = None
    if continues and wire.add_generation_prompt:
        problem = (
            "`continue_final_message` and `add_generation_prompt` are both true, but an answer "
            "either goes on or begins; leave one of them out."
        )
    elif not continues and wire.add_generation_prompt is False:
        problem = (
            "`add_generation_prompt` is false, so no answer would begin; set "
            "`continue_final_message`, or complete a prompt of your own with /v1/completions."
        )
    elif continues and wire.messages[-1].role != "assistant":
        problem = (
            f"`continue_final_message` needs the assistant's message at the end, but the last one "
            f"is of role {wire.messages[-1].role!r}."
        )
    elif continues and wire.messages[-1].tool_calls:
        problem = (
            "The last message calls tools, so it is complete; send their answers in messages of "
            "role 'tool', without `continue_final_message`."
        )
    if problem is not None:
        raise InvalidRequest(problem, param=param)
    return continues


def _tools(wire: ChatRequest) -> tuple[tuple[Tool, ...], str]:
    """Translate tools and choice; a named or limited choice leaves only the tools it names."""
    tools = tuple(
        Tool(
            name=tool.function.name,
            description=tool.function.description,
            parameters=_json_text(tool.function.parameters or {}),
        )
        for tool in wire.tools or ()
    )
    choice = wire.tool_choice or "auto"
    names, mode = _named(choice) if isinstance(choice, ToolChoice) else (None, choice)
    return limit_tools(tools, names, mode)


def _named(choice: ToolChoice) -> tuple[set[str], str]:
    if choice.type == "function" and choice.function is not None:
        return {choice.function.name}, "required"
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        allowed = choice.allowed_tools
        return {tool.function.name for tool in allowed.tools}, allowed.mode
    raise InvalidRequest(
        f"`tool_choice` of type {choice.type} needs `{choice.type}`.",
        param=f"tool_choice.{choice.type}",
        code="missing_required_parameter",
    )


def _logit_bias(wire: dict[str, float]) -> dict[int, float]:
    """Read token ids; entries of zero change nothing and are left out unread."""
    biases = {}
    for key, bias in wire.items():
        if bias == 0:
            continue
        if not (key.isascii() and key.isdigit() and len(key) <= 9):
            raise InvalidRequest(
                f"`logit_bias` has the key {key!r}, which is no token id.", param="logit_bias"
            )
        biases[int(key)] = bias
    return biases


def _json_text(value: dict[str, object]) -> str:
    return msgspec.json.encode(value).decode()
