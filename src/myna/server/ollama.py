"""Ollama's dialect: its requests -> core requests, core events -> lines of JSON.

Not here: its addresses (routes.ollama), models that come and go (fleet, downloads).
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET

from myna.core.errors import Unsupported
from myna.core.events import (
    Event,
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from myna.core.messages import Message, Part, TextPart, Tool, ToolCall, text_message
from myna.core.requests import ChatInput, Constraint, SamplingParams, TextInput
from myna.core.service import ModelCard
from myna.server.errors import plain_error_body
from myna.server.media import PartReader
from myna.server.render import encode
from myna.server.schemas.media import ContentPart
from myna.server.schemas.ollama import (
    AnswerMessage,
    Asked,
    CalledFunction,
    GenerateRequest,
    OllamaAnswer,
    OllamaChatRequest,
    OllamaMessage,
    OllamaToolCall,
    Options,
)
from myna.server.sse import Framing

LATEST = ":latest"
NS = 1_000_000_000


def line(payload: bytes) -> bytes:
    """Wrap JSON as a line of its own."""
    return payload + b"\n"


LINES = Framing(media_type=b"application/x-ndjson", frame=line, error=plain_error_body, ping=b"")


def plain_name(name: str | None) -> str:
    """Leave out the tag that Ollama's clients add to every name."""
    return (name or "").removesuffix(LATEST)


def chat_of(wire: OllamaChatRequest, card: ModelCard) -> ChatInput:
    """Translate a conversation and its tools."""
    reader = PartReader(card)
    return ChatInput(
        messages=tuple(
            _message(message, reader, param=f"messages[{idx}]")
            for idx, message in enumerate(wire.messages)
        ),
        tools=tuple(
            Tool(
                name=tool.function.name,
                description=tool.function.description,
                parameters=_json(tool.function.parameters or {}),
            )
            for tool in wire.tools or ()
        ),
        thinking=_thinking(wire),
    )


def prompt_of(wire: GenerateRequest, card: ModelCard) -> ChatInput | TextInput:
    """Translate a prompt: raw, or as the one turn of a conversation."""
    if wire.suffix:
        raise Unsupported("`suffix` is not supported; leave it out.", param="suffix")
    if wire.raw or not card.has_chat_template:
        return TextInput(prompt=wire.prompt)
    asked = OllamaMessage(role="user", content=wire.prompt, images=wire.images)
    system = (text_message("system", wire.system),) if wire.system else ()
    turn = _message(asked, PartReader(card), param="images")
    return ChatInput(messages=(*system, turn), thinking=_thinking(wire))


def sampling_of(options: Options | None) -> SamplingParams:
    """Translate how tokens are chosen; a negative number of them is no limit."""
    wire = options or Options()
    stop = wire.stop or ()
    is_bounded = wire.num_predict is not None and wire.num_predict >= 0
    return SamplingParams(
        temperature=wire.temperature,
        top_k=None if wire.top_k is None else max(wire.top_k, 0),
        top_p=wire.top_p,
        min_p=wire.min_p,
        repetition_penalty=wire.repeat_penalty,
        presence_penalty=wire.presence_penalty,
        frequency_penalty=wire.frequency_penalty,
        seed=wire.seed,
        max_tokens=wire.num_predict if is_bounded else None,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
    )


def constraint_of(wire: Asked) -> Constraint | None:
    """Translate the language of the answer."""
    if not wire.format:
        return None
    if wire.format == "json":
        return Constraint(kind="json_object")
    assert isinstance(wire.format, dict)
    return Constraint(kind="json_schema", source=_json(wire.format))


class AnswerWriter:
    """Write one answer, as pieces or whole.

    Args:
        model: the name it was asked under.
        is_chat: write messages; if not, bare responses.
    """

    def __init__(self, model: str, *, is_chat: bool) -> None:
        self._model = model
        self._is_chat = is_chat
        self._calls: dict[int, ToolCallDelta] = {}
        self._started_s = time.monotonic()

    async def pieces(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
        """Write pieces as they come."""
        async with aclosing(events):
            async for event in events:
                match event:
                    case TextDelta(text=text):
                        yield encode(self._piece(text=text))
                    case ReasoningDelta(text=text):
                        yield encode(self._piece(thinking=text))
                    case ToolCallDelta():
                        self._add_call(event)
                    case Finished():
                        if self._calls:
                            yield encode(self._piece(has_calls=True))
                        yield encode(self._end(event, self._piece()))

    async def whole(self, events: AsyncGenerator[Event, None]) -> bytes:
        """Write one body."""
        texts: list[str] = []
        thoughts: list[str] = []
        body = b""
        async with aclosing(events):
            async for event in events:
                match event:
                    case TextDelta(text=text):
                        texts.append(text)
                    case ReasoningDelta(text=text):
                        thoughts.append(text)
                    case ToolCallDelta():
                        self._add_call(event)
                    case Finished():
                        text, thinking = "".join(texts), "".join(thoughts)
                        piece = self._piece(text=text, thinking=thinking, has_calls=True)
                        body = encode(self._end(event, piece))
        return body

    def loaded(self) -> bytes:
        """Answer who asked nothing but whether the model is there."""
        piece = self._piece()
        piece.done, piece.done_reason = True, "load"
        return encode(piece)

    def _add_call(self, event: ToolCallDelta) -> None:
        known = self._calls.get(event.call_idx)
        if known is None:
            self._calls[event.call_idx] = event
            return
        arguments = known.arguments + event.arguments
        self._calls[event.call_idx] = msgspec.structs.replace(known, arguments=arguments)

    def _piece(
        self, *, text: str = "", thinking: str = "", has_calls: bool = False
    ) -> OllamaAnswer:
        piece = OllamaAnswer(model=self._model, created_at=time_text(time.time()))
        if not self._is_chat:
            piece.response, piece.thinking = text, thinking or UNSET
            return piece
        calls = [_called(call) for call in self._calls.values()] if has_calls else []
        piece.message = AnswerMessage(
            content=text, thinking=thinking or UNSET, tool_calls=calls or UNSET
        )
        return piece

    def _end(self, event: Finished, piece: OllamaAnswer) -> OllamaAnswer:
        piece.done = True
        piece.done_reason = "length" if event.reason == "length" else "stop"
        piece.total_duration = round((time.monotonic() - self._started_s) * NS)
        piece.load_duration = 0
        piece.prompt_eval_count = event.usage.prompt_tokens
        piece.prompt_eval_duration = round(event.timings.prefill_s * NS)
        piece.eval_count = event.usage.completion_tokens
        piece.eval_duration = round(event.timings.decode_s * NS)
        return piece


def time_text(at_s: float) -> str:
    """Write seconds since 1970 as Ollama writes times."""
    return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")


def _message(wire: OllamaMessage, reader: PartReader, *, param: str) -> Message:
    parts: list[Part] = [
        reader.read(
            ContentPart(type="input_image", image_url=f"data:image/png;base64,{image}"),
            param=f"{param}.images[{idx}]",
        )
        for idx, image in enumerate(wire.images or ())
    ]
    if wire.content:
        parts.append(TextPart(wire.content))
    is_tool = wire.role == "tool"
    return Message(
        role=wire.role,
        content=tuple(parts),
        reasoning=wire.thinking or None,
        tool_calls=tuple(
            ToolCall(
                id=call.id or f"call_{idx}",
                name=call.function.name,
                arguments=_json(call.function.arguments),
            )
            for idx, call in enumerate(wire.tool_calls or ())
        ),
        tool_call_id=(wire.tool_call_id or wire.tool_name or "call_0") if is_tool else None,
        name=wire.tool_name if is_tool else None,
    )


def _called(call: ToolCallDelta) -> OllamaToolCall:
    """Read the arguments, which are an object here; what is none is kept as a text."""
    try:
        arguments = msgspec.json.decode(call.arguments or "{}", type=dict)
    except msgspec.MsgspecError:
        arguments = {"arguments": call.arguments}
    return OllamaToolCall(
        id=call.id or UNSET, function=CalledFunction(name=call.name or "", arguments=arguments)
    )


def _thinking(wire: Asked) -> bool | None:
    return None if wire.think is None else wire.think is not False


def _json(value: dict[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False)
