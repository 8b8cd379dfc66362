"""Spoken answers on the wire, in the dialects that clients understand.

- openai: the text is the transcript of the sound, and `content` stays empty
- qwen: the text is `content`, and the sound has no transcript
- both: the text is at both places, so that either kind of client finds it

Sound that is streamed is bare PCM unless a compressed format is asked for; only openai's dialect
puts a header before it, where a WAV file is asked for. Sound is not kept: it expires when sent.
"""

from __future__ import annotations

import base64

from msgspec import UNSET

from myna.core.events import AudioDelta, Event
from myna.media.compress import SoundEncoder, encode_sound, sound_encoder
from myna.server.schemas.answers import (
    AudioDeltaObject,
    AudioMetadata,
    AudioObject,
    Delta,
    Extension,
)
from myna.server.speech import PCM, WAV, Spoken

NUM_CHANNELS = 1
# Pieces of whole samples whose base64 may simply be joined: clients do that.
PIECE_BYTES = 6


class SpeechWriter:
    """Write the chunks of one spoken choice.

    Args:
        spoken: what the client wants to hear.
        audio_id: names this choice's sound.
        created: when the answer began, in seconds since 1970.
    """

    def __init__(self, spoken: Spoken, *, audio_id: str, created: int) -> None:
        self._spoken = spoken
        self._audio_id = audio_id
        self._created = created
        self._encoder: SoundEncoder | None = None
        self._rest = b""

    def first(self) -> Delta:
        """Name the role and the sound."""
        content = UNSET if self._spoken.dialect == "openai" else ""
        audio = AudioDeltaObject(id=self._audio_id)
        return Delta(role="assistant", content=content, audio=audio)

    def text(self, text: str) -> Delta:
        """Add text."""
        dialect = self._spoken.dialect
        return Delta(
            content=UNSET if dialect == "openai" else text,
            audio=UNSET if dialect == "qwen" else AudioDeltaObject(transcript=text),
        )

    def sound(self, event: AudioDelta) -> Delta:
        """Add sound; the first piece says what it is."""
        if self._encoder is not None:
            return Delta(audio=AudioDeltaObject(data=self._piece(self._encoder.add(event.pcm))))
        is_bare = self._spoken.dialect != "openai" and self._spoken.format == WAV
        file_format = PCM if is_bare else self._spoken.format
        self._encoder = sound_encoder(file_format, rate_hz=event.rate_hz)
        return Delta(
            audio=AudioDeltaObject(data=self._piece(self._encoder.add(event.pcm))),
            audio_metadata=metadata(event.rate_hz, file_format=file_format),
        )

    def _piece(self, data: bytes) -> str:
        data = self._rest + data
        size = len(data) - len(data) % PIECE_BYTES
        self._rest = data[size:]
        return _base64(data[:size])

    def last(self) -> Delta:
        """Tell when the sound expires, after what the encoder held back of it."""
        rest = self._rest + (b"" if self._encoder is None else self._encoder.finish())
        data = _base64(rest) if rest else UNSET
        return Delta(audio=AudioDeltaObject(data=data, expires_at=self._created))


def whole_sound(
    spoken: Spoken, *, audio_id: str, created: int, pcm: bytes, rate_hz: int, transcript: str
) -> AudioObject:
    """Write the sound of a whole answer."""
    data = encode_sound(pcm, spoken.format, rate_hz=rate_hz)
    return AudioObject(id=audio_id, data=_base64(data), expires_at=created, transcript=transcript)


def pace_of(event: Event) -> Extension | None:
    """Tell how fast speech was lately, if this event does."""
    if not isinstance(event, AudioDelta) or event.realtime_factor is None:
        return None
    return Extension(realtime_factor=event.realtime_factor)


def metadata(rate_hz: int, *, file_format: str) -> AudioMetadata:
    """Describe sound: bare samples do not say it themselves."""
    return AudioMetadata(format=file_format, sample_rate_hz=rate_hz, channels=NUM_CHANNELS)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
