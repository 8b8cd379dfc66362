"""Requests for responses -> core: items of a conversation become its turns.

Not here: what chat requests share with these (translate), keeping responses (kept).
"""

from __future__ import annotations

import msgspec

from myna.core.errors import InvalidRequest, Unsupported
from myna.core.messages import Message, Part, TextPart, Tool, ToolCall, text_message
from myna.core.requests import ChatInput, Constraint
from myna.core.service import ModelCard
from myna.media.fetch import Fetcher
from myna.server.media import PartReader
from myna.server.schemas.chat import JsonSchema, ResponseFormat
from myna.server.schemas.responses import (
    FunctionCallItem,
    InputItem,
    MessageItem,
    ReasoningItem,
    ResponseObject,
    ResponsesRequest,
    ResponseTool,
    ResponseToolChoice,
    ToolObject,
)
from myna.server.translate import constraint, limit_tools, parts_of, wish_to_think

LOGPROBS = "message.output_text.logprobs"


def check_unsupported(wire: ResponsesRequest) -> None:
    """Refuse what is understood but not done here, rather than do something else."""
    if wire.background:
        raise Unsupported(
            "Responses are not run in the background; leave `background` out, or stream.",
            param="background",
        )
    if wire.n is not None and wire.n > 1:
        raise Unsupported(f"`n` is {wire.n}, but a response is one answer.", param="n")
    if wire.conversation is not None:
        raise Unsupported(
            "Conversations are continued by `previous_response_id`; leave `conversation` out.",
            param="conversation",
        )


def response_input(
    wire: ResponsesRequest,
    card: ModelCard,
    past: tuple[Message, ...],
    fetcher: Fetcher | None = None,
) -> ChatInput:
    """Translate the input, after the turns that went before it."""
    if not card.has_chat_template:
        raise Unsupported(
            f"The model {card.id!r} has no chat template; use /v1/completions.", param="input"
        )
    tools, choice = response_tools(wire)
    return ChatInput(
        messages=(*instructions_of(wire), *past, *new_turns(wire, card, fetcher)),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=wire.parallel_tool_calls is not False,
        thinking=wish_to_think(wire, wire.reasoning.effort if wire.reasoning else None),
    )


def instructions_of(wire: ResponsesRequest) -> tuple[Message, ...]:
    """Give the system turn; that of an earlier response is never carried over."""
    return (text_message("system", wire.instructions),) if wire.instructions else ()


def new_turns(
    wire: ResponsesRequest, card: ModelCard, fetcher: Fetcher | None
) -> tuple[Message, ...]:
    """Translate the input's items; no input at all is an empty turn."""
    if wire.input is None or isinstance(wire.input, str):
        return (text_message("user", wire.input or ""),)
    reader = PartReader(card, wire.mm_processor_kwargs, fetcher=fetcher)
    turns: list[Message] = []
    for idx, item in enumerate(wire.input):
        turn = _turn(item, reader, param=f"input[{idx}]")
        if turn.role == "assistant" and turns and turns[-1].role == "assistant":
            turns[-1] = _joined(turns[-1], turn)
        else:
            turns.append(turn)
    return tuple(turns)


def answered(response: ResponseObject) -> tuple[Message, ...]:
    """Write a finished answer as the turn that it is for the next one."""
    texts, thoughts, calls = [], [], []
    for item in response.output:
        match item:
            case MessageItem(content=content):
                texts += [TextPart(part.text) for part in content]
            case ReasoningItem(content=thought):
                thoughts += [part.text for part in thought]
            case FunctionCallItem():
                calls.append(ToolCall(id=item.call_id, name=item.name, arguments=item.arguments))
    return (
        Message(
            role="assistant",
            content=tuple(texts),
            reasoning="".join(thoughts) or None,
            tool_calls=tuple(calls),
        ),
    )


def response_constraint(wire: ResponsesRequest) -> Constraint | None:
    """Translate the language of the answer."""
    asked = wire.text.format if wire.text else None
    if asked is None:
        return constraint(None, wire.structured_outputs)
    schema = None
    if asked.type == "json_schema":
        if asked.schema is None:
            raise _missing("text.format.schema")
        schema = JsonSchema(schema=asked.schema)
    return constraint(ResponseFormat(type=asked.type, json_schema=schema), wire.structured_outputs)


def response_logprobs(wire: ResponsesRequest) -> int | None:
    """Read how many alternatives to report; `include` alone asks for the chosen ones."""
    if wire.top_logprobs:
        return wire.top_logprobs
    return 0 if LOGPROBS in (wire.include or ()) else None


def response_tools(wire: ResponsesRequest) -> tuple[tuple[Tool, ...], str]:
    """Translate tools and choice; a named or limited choice leaves only the tools it names."""
    tools = tuple(_tool(tool, idx) for idx, tool in enumerate(wire.tools or ()))
    choice = wire.tool_choice or "auto"
    names, mode = _named(choice) if isinstance(choice, ResponseToolChoice) else (None, choice)
    return limit_tools(tools, names, mode)


def tool_objects(wire: ResponsesRequest) -> list[ToolObject]:
    """Repeat the tools, as clients expect it of the answer."""
    return [
        ToolObject(
            type="function",
            name=tool.name or "",
            description=tool.description,
            parameters=tool.parameters,
            strict=tool.strict is not False,
        )
        for tool in wire.tools or ()
    ]


def _tool(wire: ResponseTool, idx: int) -> Tool:
    if wire.type != "function":
        raise Unsupported(
            f"Tools of type {wire.type!r} are not run here; give functions.",
            param=f"tools[{idx}].type",
        )
    if wire.name is None:
        raise _missing(f"tools[{idx}].name")
    parameters = msgspec.json.encode(wire.parameters or {}).decode()
    return Tool(name=wire.name, description=wire.description, parameters=parameters)


def _named(choice: ResponseToolChoice) -> tuple[set[str], str]:
    if choice.type == "function" and choice.name is not None:
        return {choice.name}, "required"
    if choice.type == "allowed_tools" and choice.tools and choice.mode is not None:
        return {tool.name for tool in choice.tools if tool.name is not None}, choice.mode
    raise InvalidRequest(
        f"`tool_choice` of type {choice.type!r} cannot be read; name a function, or give "
        "allowed_tools with `mode` and `tools`.",
        param="tool_choice",
    )


def _turn(item: InputItem, reader: PartReader, *, param: str) -> Message:
    match item.type:
        case "message":
            return _message(item, reader, param=param)
        case "function_call":
            if item.call_id is None or item.name is None:
                raise _missing(f"{param}.call_id" if item.call_id is None else f"{param}.name")
            call = ToolCall(id=item.call_id, name=item.name, arguments=item.arguments or "{}")
            return Message(role="assistant", tool_calls=(call,))
        case "function_call_output":
            if item.call_id is None:
                raise _missing(f"{param}.call_id")
            output = parts_of(item.output, reader, param=f"{param}.output")
            return Message(role="tool", content=output, tool_call_id=item.call_id)
        case "reasoning":
            thought = parts_of(item.content, reader, param=f"{param}.content")
            return Message(role="assistant", reasoning=_text(thought) or None)
    raise Unsupported(
        f"Items of type {item.type!r} are not taken; give message, function_call, "
        "function_call_output or reasoning.",
        param=f"{param}.type",
    )


def _message(item: InputItem, reader: PartReader, *, param: str) -> Message:
    if item.role is None:
        raise _missing(f"{param}.role")
    content = parts_of(item.content, reader, param=f"{param}.content")
    role = "system" if item.role == "developer" else item.role
    return Message(role=role, content=content)


def _text(parts: tuple[Part, ...]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def _joined(first: Message, second: Message) -> Message:
    """Make one assistant's turn of what the items give in pieces: thoughts, words, calls."""
    return Message(
        role="assistant",
        content=first.content + second.content,
        reasoning=second.reasoning or first.reasoning,
        tool_calls=first.tool_calls + second.tool_calls,
    )


def _missing(param: str) -> InvalidRequest:
    return InvalidRequest(
        f"`{param}` is missing; it is required.",
        param=param,
        code="missing_required_parameter",
    )
