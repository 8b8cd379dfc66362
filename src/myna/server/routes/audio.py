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
from myna.media.compress import MEDIA_TYPES, Tempo, sound_encoder
from myna.server.body import read_wire
from myna.server.context import context_of, request_key
from myna.server.render import events_of
from myna.server.render_transcripts import audio_usage
from myna.server.schemas.audio import SoundEvent, SpeechRequest, VoiceList
from myna.server.speech import VOICE_ALIASES, format_of, voice_of
from myna.server.sse import EVENTS, ByteStream, EventStream

DECODER = msgspec.json.Decoder(SpeechRequest)


async def create_speech(request: Request) -> Response:
    """Speak a given text; the sound is sent as it is made."""
    context = context_of(request)
    settings = context.settings
    wire = await read_wire(request, DECODER)
    card = await context.model(wire.model)
    _check(wire)
    voice = voice_of(wire.voice, card, param="voice")
    file_format = format_of(wire.response_format, usual="mp3", param="response_format")
    asked = core.Request(
        id=core.RequestId(f"req_{request_key(request)}"),
        model=card.id,
        input=core.SayInput(text=wire.input),
        sampling=core.SamplingParams(seed=wire.seed),
        deadline_s=settings.deadline_s,
        speech=core.Speech(voice=voice),
    )
    pieces = sound_pieces(
        events_of(context.service, asked), file_format=file_format, speed=wire.speed or 1.0
    )
    if wire.stream_format == "sse":
        return EventStream(
            sound_events(pieces),
            ping_s=settings.ping_s,
            timeout_s=settings.timeout_s,
            request_id=asked.id,
            framing=EVENTS,
        )
    return ByteStream(
        sound_bytes(pieces),
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


async def sound_pieces(
    events: AsyncGenerator[Event, None], *, file_format: str, speed: float
) -> AsyncGenerator[bytes | Usage, None]:
    """Write sound as the pieces of one file, as it is made; what it took comes last."""
    encoder = tempo = None
    async with aclosing(events):
        async for event in events:
            match event:
                case AudioDelta(pcm=pcm, rate_hz=rate_hz):
                    if encoder is None:
                        encoder = sound_encoder(file_format, rate_hz=rate_hz)
                        tempo = None if speed == 1.0 else Tempo(speed, rate_hz=rate_hz)
                    if piece := encoder.add(pcm if tempo is None else tempo.add(pcm)):
                        yield piece
                case Finished(usage=usage):
                    if encoder is not None:
                        rest = b"" if tempo is None else tempo.finish()
                        yield encoder.add(rest) + encoder.finish()
                    yield usage


async def sound_bytes(pieces: AsyncGenerator[bytes | Usage, None]) -> AsyncGenerator[bytes, None]:
    """Send sound as a file alone; silence is an empty one."""
    is_silent = True
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, bytes):
                is_silent = False
                yield piece
    if is_silent:
        yield b""


async def sound_events(pieces: AsyncGenerator[bytes | Usage, None]) -> AsyncGenerator[bytes, None]:
    """Send the pieces of the file as events, and what it took."""
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Usage):
                done = SoundEvent(type="speech.audio.done", usage=audio_usage(piece))
                yield msgspec.json.encode(done)
            elif piece:
                audio = base64.b64encode(piece).decode("ascii")
                yield msgspec.json.encode(SoundEvent(type="speech.audio.delta", audio=audio))


def _check(wire: SpeechRequest) -> None:
    """Refuse what would change the sound, where nothing here can."""
    if wire.instructions:
        raise Unsupported(
            "`instructions` cannot change how a text is spoken; leave them out.",
            param="instructions",
        )


routes = [
    Route("/v1/audio/speech", create_speech, methods=["POST"]),
    Route("/v1/audio/voices", list_voices),
]
