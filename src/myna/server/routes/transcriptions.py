"""`POST /v1/audio/transcriptions` and `POST /v1/audio/translations`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core import requests as core
from myna.core.errors import InvalidRequest, Unsupported
from myna.core.events import Event
from myna.core.messages import AudioPart, Message, TextPart
from myna.media.limits import MediaBudget
from myna.server.context import context_of, request_key
from myna.server.form import read_form
from myna.server.hearing import Ask, Segment, decode, hear
from myna.server.render import events_of
from myna.server.render_transcripts import (
    segment_events,
    subtitles,
    text_events,
    verbose,
    whole_transcript,
)
from myna.server.schemas.audio import TranscriptionRequest
from myna.server.schemas.parse import from_form
from myna.server.sse import EVENTS, EventStream, WholeAnswer
from myna.text.instructions import language_name, transcribe_prompt, translate_prompt

Task = Literal["transcribe", "translate"]
TIMED_FORMATS = ("verbose_json", "srt", "vtt")
GRANULARITIES = ("segment", "word")
MEDIA_TYPES = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}


async def create_transcription(request: Request) -> Response:
    """Write down what is said in a sound."""
    return await _answer(request, "transcribe")


async def create_translation(request: Request) -> Response:
    """Write down in English what is said in a sound."""
    return await _answer(request, "translate")


async def _answer(request: Request, task: Task) -> Response:
    context = context_of(request)
    form = await read_form(request)
    wire = from_form(form.fields, TranscriptionRequest)
    card = await context.model(wire.model)
    if "audio" not in card.inputs:
        raise Unsupported(f"{card.id!r} takes {', '.join(card.inputs)}, not sound.", param="model")
    granularities = _listed(
        wire.timestamp_granularities, known=GRANULARITIES, param="timestamp_granularities"
    )
    if granularities and wire.response_format != "verbose_json":
        raise InvalidRequest(
            "`timestamp_granularities` needs `response_format` to be verbose_json.",
            param="timestamp_granularities",
        )
    data = _file(form.files)
    has_logprobs = bool(_listed(wire.include, known=("logprobs",), param="include"))
    is_timed = wire.response_format in TIMED_FORMATS
    key = request_key(request)

    def ask(file: bytes, number: int) -> AsyncGenerator[Event, None]:
        asked = core.Request(
            id=core.RequestId(f"req_{key}-{number}"),
            model=card.id,
            input=_question(file, wire, task),
            sampling=core.SamplingParams(
                temperature=wire.temperature or 0.0,
                max_tokens=wire.max_completion_tokens,
                logprobs=0 if has_logprobs or is_timed else None,
            ),
            deadline_s=context.settings.deadline_s,
        )
        return events_of(context.service, asked)

    if wire.stream:
        return EventStream(
            segment_events(_hear(context.sound_turns, data, ask))
            if is_timed
            else text_events(ask(data, 0), has_logprobs=has_logprobs),
            ping_s=context.settings.ping_s,
            timeout_s=context.settings.timeout_s,
            request_id=f"req_{key}",
            framing=EVENTS,
        )
    is_plain = wire.response_format == "text"
    if is_timed:
        work = partial(
            _timed, context.sound_turns, data, ask, wire, task, has_words="word" in granularities
        )
    else:
        work = partial(whole_transcript, ask(data, 0), is_plain=is_plain, has_logprobs=has_logprobs)
    return WholeAnswer(
        work,
        timeout_s=context.settings.timeout_s,
        media_type=MEDIA_TYPES.get(wire.response_format or "json", "application/json"),
    )


async def _hear(turns: asyncio.Semaphore, data: bytes, ask: Ask) -> AsyncGenerator[Segment, None]:
    async with turns:
        sound = await asyncio.to_thread(decode, data)
        async with aclosing(hear(sound, ask)) as segments:
            async for segment in segments:
                yield segment


async def _timed(
    turns: asyncio.Semaphore,
    data: bytes,
    ask: Ask,
    wire: TranscriptionRequest,
    task: Task,
    *,
    has_words: bool,
) -> bytes:
    """Write the whole answer in one of the forms that tell when something was said."""
    async with turns:
        sound = await asyncio.to_thread(decode, data)
        async with aclosing(hear(sound, ask)) as heard:
            segments = [segment async for segment in heard]
    if wire.response_format != "verbose_json":
        return subtitles(segments, is_vtt=wire.response_format == "vtt")
    return verbose(
        segments,
        task=task,
        language=language_name(wire.language).lower() if wire.language else "unknown",
        duration_s=sound.duration_s,
        temperature=wire.temperature or 0.0,
        has_words=has_words,
    )


def _listed(wire: str | None, *, known: tuple[str, ...], param: str) -> set[str]:
    """Read a list that has commas between."""
    listed = set(filter(None, (wire or "").split(",")))
    for name in sorted(listed - set(known)):
        raise InvalidRequest(
            f"`{param}` holds {name!r}; known are {', '.join(known)}.", param=param
        )
    return listed


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


routes = [
    Route("/v1/audio/transcriptions", create_transcription, methods=["POST"]),
    Route("/v1/audio/translations", create_translation, methods=["POST"]),
]
