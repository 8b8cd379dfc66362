"""Media on the wire: pieces of messages that are pictures, sounds or clips, and wishes to hear."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from myna.server.schemas.sampling import Name

MAX_FRAMES = 768

FramesPerSecond = Annotated[float, Meta(gt=0, le=240)]
FrameList = Annotated[list[str], Meta(min_length=1, max_length=MAX_FRAMES)]
Dialect = Literal["both", "openai", "qwen"]


class MediaUrl(msgspec.Struct, kw_only=True):
    """An address of media."""

    url: str


class InputAudio(msgspec.Struct, kw_only=True):
    """Sound as base64, bare or in a data URL; its format is found out, not believed."""

    data: str
    format: Name | None = None


class ContentPart(msgspec.Struct, kw_only=True):
    """One piece of a message; what `type` does not name is ignored."""

    type: Annotated[str, Meta(max_length=64)]
    text: str | None = None
    image_url: str | MediaUrl | None = None
    audio_url: str | MediaUrl | None = None
    video_url: str | MediaUrl | None = None
    input_audio: InputAudio | None = None
    video: str | FrameList | None = None
    fps: FramesPerSecond | None = None


class MediaOptions(msgspec.Struct, kw_only=True):
    """How clips are to be taken in: vLLM's `mm_processor_kwargs`."""

    fps: FramesPerSecond | None = None
    use_audio_in_video: bool | None = None


class VoiceReference(msgspec.Struct, kw_only=True):
    """A voice, by its id."""

    id: Name


class AudioWish(msgspec.Struct, kw_only=True):
    """How a chat answer is to sound."""

    voice: Name | VoiceReference | None = None
    format: Name | None = None


class SpokenTurn(msgspec.Struct, kw_only=True):
    """An earlier spoken answer, by its id."""

    id: Name
