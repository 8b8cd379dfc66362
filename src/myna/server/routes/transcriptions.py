"""`POST /v1/audio/transcriptions` and `POST /v1/audio/translations`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from functools import partial
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core import requests as core
from myna.core.errors import InvalidRequest, Unsupported
from myna.core.events import Event, Finished, TextDelta, Usage
from myna.core.messages import AudioPart, Message, TextPart
from myna.media.decoder import Decoder
from myna.media.limits import MediaBudget
from myna.server.context import context_of, request_key
from myna.server.form import read_form
from myna.server.render import events_of
from myna.server.routes.audio import audio_usage
from myna.server.schemas.audio import (
    TextEvent,
    Transcription,
    TranscriptionRequest,
    VerboseTranscription,
)
from myna.server.schemas.parse import from_form
from myna.server.sse import EventStream, WholeAnswer
from myna.text.instructions import language_name, transcribe_prompt, translate_prompt

Task = Literal["transcribe", "translate"]


async def create_transcription(request: Request) -> Response:
    """Write down what is said in a sound."""
    return await _answer(request, "transcribe")


async def create_translation(request: Request) -> Response:
    """Write down in English what is said in a sound."""
    return await _answer(request, "translate")


async def _answer(request: Request, task: Task) -> Response:
    context = context_of(request)
    settings = context.settings
    form = await read_form(request)
    wire = from_form(form.fields, TranscriptionRequest)
    card = await context.model(wire.model)
    if "audio" not in card.inputs:
        raise Unsupported(f"{card.id!r} takes {', '.join(card.inputs)}, not sound.", param="model")
    if wire.timestamp_granularities:
        raise Unsupported(
            "No model here tells when a word was said; leave `timestamp_granularities` out.",
            param="timestamp_granularities",
        )
    data = _file(form.files)
    asked = core.Request(
        id=core.RequestId(f"req_{request_key(request)}"),
        model=card.id,
        input=_question(data, wire, task),
        sampling=core.SamplingParams(
            temperature=wire.temperature or 0.0, max_tokens=wire.max_completion_tokens
        ),
        deadline_s=settings.deadline_s,
    )
    events = events_of(context.service, asked)
    if wire.stream:
        return EventStream(
            text_events(events),
            ping_s=settings.ping_s,
            timeout_s=settings.timeout_s,
            request_id=asked.id,
        )
    return WholeAnswer(
        partial(_whole, events, wire, task, data),
        timeout_s=settings.timeout_s,
        media_type="text/plain" if wire.response_format == "text" else "application/json",
    )


def _file(files: dict[str, bytes]) -> bytes:
    data = files.get("file")
    if not data:
        raise InvalidRequest(
            "The form has no `file`, or an empty one; send the sound in it.",
            param="file",
            code="missing_required_parameter",
        )
    MediaBudget().charge_item(len(data))
    return data


def _question(data: bytes, wire: TranscriptionRequest, task: Task) -> core.ChatInput:
    """Ask as the model was taught: the sound first, then what to do with it."""
    if task == "transcribe":
        text = transcribe_prompt(language=wire.language, context=wire.prompt)
    else:
        text = translate_prompt(context=wire.prompt)
    turn = Message(role="user", content=(AudioPart(data), TextPart(text)))
    return core.ChatInput(messages=(turn,))


async def _whole(
    events: AsyncGenerator[Event, None], wire: TranscriptionRequest, task: Task, data: bytes
) -> bytes:
    """Write the whole answer in the form that was asked for."""
    duration_s = 0.0
    if wire.response_format == "verbose_json":
        duration_s = await asyncio.to_thread(measure_s, data)
    pieces: list[str] = []
    usage = Usage(prompt_tokens=0, completion_tokens=0)
    async with aclosing(events):
        async for event in events:
            match event:
                case TextDelta(text=piece):
                    pieces.append(piece)
                case Finished():
                    usage = event.usage
    text = "".join(pieces).strip()
    if wire.response_format == "text":
        return f"{text}\n".encode()
    if wire.response_format != "verbose_json":
        return msgspec.json.encode(Transcription(text=text, usage=audio_usage(usage)))
    heard = VerboseTranscription(
        task=task,
        language=language_name(wire.language).lower() if wire.language else "unknown",
        duration=round(duration_s, 3),
        text=text,
        usage=audio_usage(usage),
    )
    return msgspec.json.encode(heard)


def measure_s(data: bytes) -> float:
    """Find out how long a sound lasts, by decoding it in a process that may be killed."""
    with closing(Decoder(num_children=1)) as decoder:
        return decoder.audio(data, MediaBudget()).duration_s


async def text_events(events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    """Write what is heard as events, as it is understood."""
    pieces: list[str] = []
    async with aclosing(events):
        async for event in events:
            match event:
                case TextDelta(text=piece):
                    pieces.append(piece)
                    yield msgspec.json.encode(TextEvent(type="transcript.text.delta", delta=piece))
                case Finished():
                    text, usage = "".join(pieces), audio_usage(event.usage)
                    done = TextEvent(type="transcript.text.done", text=text, usage=usage)
                    yield msgspec.json.encode(done)


routes = [
    Route("/v1/audio/transcriptions", create_transcription, methods=["POST"]),
    Route("/v1/audio/translations", create_translation, methods=["POST"]),
]
