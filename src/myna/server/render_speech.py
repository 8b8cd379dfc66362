"""Spoken answers on the wire, in the dialects that clients understand.

- openai: the text is the transcript of the sound, and `content` stays empty
- qwen: the text is `content`, and the sound has no transcript
- both: the text is at both places, so that either kind of client finds it

Sound that is streamed is bare PCM; only openai's dialect puts a header before it, where a WAV file
is asked for. Sound is not kept: it expires when it is sent.
"""

from __future__ import annotations

import base64

from msgspec import UNSET

from myna.core.events import AudioDelta
from myna.media.encode import wav_header
from myna.server.schemas.answers import AudioDeltaObject, AudioMetadata, AudioObject, Delta
from myna.server.speech import PCM, WAV, Spoken, sound_file

NUM_CHANNELS = 1


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
        self._has_sound = False

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
        if self._has_sound:
            return Delta(audio=AudioDeltaObject(data=_base64(event.pcm)))
        self._has_sound = True
        is_file = self._spoken.dialect == "openai" and self._spoken.format == WAV
        header = wav_header(rate_hz=event.rate_hz, num_samples=None) if is_file else b""
        return Delta(
            audio=AudioDeltaObject(data=_base64(header + event.pcm)),
            audio_metadata=metadata(event.rate_hz, file_format=WAV if is_file else PCM),
        )

    def last(self) -> Delta:
        """Tell when the sound expires."""
        return Delta(audio=AudioDeltaObject(expires_at=self._created))


def whole_sound(
    spoken: Spoken, *, audio_id: str, created: int, pcm: bytes, rate_hz: int, transcript: str
) -> AudioObject:
    """Write the sound of a whole answer."""
    data = sound_file(pcm, rate_hz=rate_hz, file_format=spoken.format)
    return AudioObject(id=audio_id, data=_base64(data), expires_at=created, transcript=transcript)


def metadata(rate_hz: int, *, file_format: str) -> AudioMetadata:
    """Describe sound: bare samples do not say it themselves."""
    return AudioMetadata(format=file_format, sample_rate_hz=rate_hz, channels=NUM_CHANNELS)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
