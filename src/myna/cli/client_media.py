"""Messages with media as OpenAI's JSON, and sound that comes back.

Not here: connections (client).
"""

from __future__ import annotations

import base64
import binascii
import http.client
import struct
from collections.abc import Iterator

from myna.core.events import AudioDelta, Event, Finished, Usage
from myna.core.messages import AudioPart, ImagePart, Message, Part, TextPart, VideoPart

RATE_HZ = 24_000  # Bare samples do not say it; all of OpenAI's dialects mean this.
WAV_HEADER_BYTES = 44
RATE_AT = 24
PIECE_BYTES = 4096


def wire_message(message: Message) -> dict[str, object]:
    """Write a message; one of text alone stays a plain string."""
    if all(isinstance(part, TextPart) for part in message.content):
        return {"role": message.role, "content": message.text}
    return {"role": message.role, "content": [_part(part) for part in message.content]}


def wire_clip_options(messages: tuple[Message, ...]) -> dict[str, object]:
    """Write how clips are to be taken in, which holds for all of a request."""
    clips = [part for turn in messages for part in turn.content if isinstance(part, VideoPart)]
    if not any(clip.has_sound for clip in clips):
        return {}
    return {"mm_processor_kwargs": {"use_audio_in_video": True}}


def read_sound(data: str) -> AudioDelta:
    """Read a piece of streamed sound."""
    try:
        pcm = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise http.client.HTTPException(f"a piece of sound is not understood: {error}") from error
    return AudioDelta(index=0, pcm=pcm, rate_hz=RATE_HZ)


def read_wav(response: http.client.HTTPResponse) -> Iterator[Event]:
    """Read a WAV file as it comes, of the one kind that speech routes send."""
    header = response.read(WAV_HEADER_BYTES)
    if len(header) < WAV_HEADER_BYTES or not header.startswith(b"RIFF"):
        raise http.client.HTTPException("the sound is no WAV file")
    (rate_hz,) = struct.unpack_from("<I", header, RATE_AT)
    while piece := response.read(PIECE_BYTES):
        yield AudioDelta(index=0, pcm=piece, rate_hz=rate_hz)
    yield Finished(index=0, reason="stop", usage=Usage(prompt_tokens=0, completion_tokens=0))


def _part(part: Part) -> dict[str, object]:
    match part:
        case TextPart(text=text):
            return {"type": "text", "text": text}
        case ImagePart(data=data):
            return {"type": "image_url", "image_url": {"url": _url(data, "image/png")}}
        case AudioPart(data=data):
            return {"type": "input_audio", "input_audio": {"data": _base64(data)}}
        case VideoPart(data=data, frames=frames, fps=fps):
            rate = {} if fps is None else {"fps": fps}
            if frames:
                urls = [_url(frame, "image/png") for frame in frames]
                return {"type": "video", "video": urls, **rate}
            return {"type": "video_url", "video_url": {"url": _url(data, "video/mp4")}, **rate}


def _url(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{_base64(data)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
