"""`POST /v1/audio/speech` and `GET /v1/audio/voices`."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myna.core import requests as core
from myna.core.errors import Unsupported
from myna.core.events import AudioDelta, Event, Finished, Usage
from myna.media.encode import wav_header
from myna.server.body import read_wire
from myna.server.context import context_of, request_key
from myna.server.render import events_of
from myna.server.schemas.audio import AudioUsage, SoundEvent, SpeechRequest, VoiceList
from myna.server.speech import (
    MEDIA_TYPES,
    VOICE_ALIASES,
    WAV,
    format_of,
    voice_of,
)
from myna.server.sse import ByteStream, EventStream

DECODER = msgspec.json.Decoder(SpeechRequest)


async def create_speech(request: Request) -> Response:
    """Speak a given text; the sound is sent as it is made."""
    context = context_of(request)
    settings = context.settings
    wire = await read_wire(request, DECODER)
    card = await context.model(wire.model)
    _check(wire)
    voice = voice_of(wire.voice, card, param="voice")
    # OpenAI's default is mp3; who names no format finds in the content type what came.
    file_format = format_of(wire.response_format, usual=WAV, param="response_format")
    asked = core.Request(
        id=core.RequestId(f"req_{request_key(request)}"),
        model=card.id,
        input=core.SayInput(text=wire.input),
        sampling=core.SamplingParams(seed=wire.seed),
        deadline_s=settings.deadline_s,
        speech=core.Speech(voice=voice),
    )
    events = events_of(context.service, asked)
    if wire.stream_format == "sse":
        return EventStream(
            sound_events(events),
            ping_s=settings.ping_s,
            timeout_s=settings.timeout_s,
            request_id=asked.id,
        )
    return ByteStream(
        sound_bytes(events, file_format=file_format),
        media_type=MEDIA_TYPES[file_format],
        timeout_s=settings.timeout_s,
        request_id=asked.id,
    )


async def list_voices(request: Request) -> Response:
    """List the voices of a model, the usual one first."""
    card = await context_of(request).model(request.query_params.get("model"))
    known = {alias: name for alias, name in VOICE_ALIASES.items() if name in card.voices}
    body = VoiceList(model=card.id, voices=card.voices, aliases=known)
    return Response(msgspec.json.encode(body), media_type="application/json")


async def sound_bytes(
    events: AsyncGenerator[Event, None], *, file_format: str
) -> AsyncGenerator[bytes, None]:
    """Write sound as one file; a WAV file that is sent as it grows cannot say how long it is."""
    is_first = True
    async with aclosing(events):
        async for event in events:
            if not isinstance(event, AudioDelta):
                continue
            if is_first and file_format == WAV:
                yield wav_header(rate_hz=event.rate_hz, num_samples=None)
            is_first = False
            yield event.pcm
    if is_first:
        yield b""


async def sound_events(events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    """Write sound as events of bare samples."""
    async with aclosing(events):
        async for event in events:
            match event:
                case AudioDelta(pcm=pcm):
                    audio = base64.b64encode(pcm).decode("ascii")
                    yield msgspec.json.encode(SoundEvent(type="speech.audio.delta", audio=audio))
                case Finished(usage=usage):
                    done = SoundEvent(type="speech.audio.done", usage=audio_usage(usage))
                    yield msgspec.json.encode(done)


def audio_usage(usage: Usage) -> AudioUsage:
    """Count the tokens of an answer that was heard or spoken."""
    num_answered = usage.completion_tokens + usage.audio_tokens
    return AudioUsage(
        type="tokens",
        input_tokens=usage.prompt_tokens,
        output_tokens=num_answered,
        total_tokens=usage.prompt_tokens + num_answered,
    )


def _check(wire: SpeechRequest) -> None:
    """Refuse what would change the sound, where nothing here can."""
    if wire.instructions:
        raise Unsupported(
            "`instructions` cannot change how a text is spoken; leave them out.",
            param="instructions",
        )
    if wire.speed not in (None, 1.0):
        raise Unsupported(
            f"`speed` is {wire.speed:g}, but speech has one speed; leave it out.", param="speed"
        )


routes = [
    Route("/v1/audio/speech", create_speech, methods=["POST"]),
    Route("/v1/audio/voices", list_voices),
]
