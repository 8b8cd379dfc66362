"""What is asked of the service: answers, and the words of what was heard."""

from __future__ import annotations

from myna.core.errors import InvalidRequest, Unsupported
from myna.core.messages import AudioPart, Message, TextPart, text_message
from myna.core.requests import ChatInput, Request, RequestId, SamplingParams, Speech
from myna.core.service import ModelCard
from myna.server.realtime.client_events import WireResponse
from myna.server.realtime.config import (
    SessionConfig,
    Transcription,
    WireToolChoice,
    choose_tools,
    tools_of,
    wire_format,
)
from myna.server.realtime.response import Plan
from myna.server.speech import voice_of
from myna.text.instructions import transcribe_prompt


def plan_response(
    wire: WireResponse, config: SessionConfig, card: ModelCard, *, response_id: str
) -> Plan:
    """Settle how one answer is given: as its client wishes, else as the session says.

    Raises:
        Unsupported: the model cannot speak.
    """
    modalities = wire.output_modalities or wire.modalities
    speaks = config.speaks if modalities is None else "audio" in modalities
    if speaks and "audio" not in card.outputs:
        outputs = ", ".join(card.outputs)
        raise Unsupported(
            f"{card.id!r} answers with {outputs} only.", param="response.output_modalities"
        )
    said = wire.audio.output if wire.audio else None
    wish = (said.voice if said else None) or wire.voice
    output = wire_format(said.format) if said and said.format else config.output
    limit = wire.max_output_tokens
    return Plan(
        id=response_id,
        speaks=speaks,
        output=output,
        voice=config.voice if wish is None else voice_of(wish, card, param="response.voice"),
        max_tokens=config.max_tokens if limit is None else None if limit == "inf" else limit,
        metadata=wire.metadata,
    )


def ask_for_response(
    wire: WireResponse,
    plan: Plan,
    config: SessionConfig,
    *,
    messages: tuple[Message, ...],
    request_id: str,
    deadline_s: float,
) -> Request:
    """Write the request for an answer to what was said.

    Raises:
        InvalidRequest: a tool is required that is not there.
    """
    tools = config.tools if wire.tools is None else tools_of(wire.tools)
    choice = wire.tool_choice
    name = choice.name if isinstance(choice, WireToolChoice) else choice or config.tool_choice
    tools, tool_choice = choose_tools(tools, name)
    instructions = config.instructions if wire.instructions is None else wire.instructions
    if instructions:
        messages = (text_message("system", instructions), *messages)
    if not messages:
        raise InvalidRequest(
            "There is nothing to answer: the conversation is empty; add an item, or send "
            "`instructions`.",
            code="conversation_empty",
        )
    return Request(
        id=RequestId(request_id),
        model=config.model,
        input=ChatInput(messages=messages, tools=tools, tool_choice=tool_choice, thinking=False),
        sampling=SamplingParams(
            max_tokens=plan.max_tokens,
            temperature=config.temperature if wire.temperature is None else wire.temperature,
        ),
        deadline_s=deadline_s,
        speech=Speech(voice=plan.voice) if plan.speaks else None,
    )


def ask_for_words(
    sound: bytes, config: SessionConfig, *, request_id: str, deadline_s: float
) -> Request:
    """Write the request for the words of a sound file."""
    wish = config.transcription or Transcription()
    prompt = transcribe_prompt(language=wish.language, context=wish.prompt)
    turn = Message(role="user", content=(AudioPart(sound), TextPart(prompt)))
    return Request(
        id=RequestId(request_id),
        model=config.model,
        input=ChatInput(messages=(turn,), thinking=False),
        sampling=SamplingParams(temperature=0.0),
        deadline_s=deadline_s,
    )
