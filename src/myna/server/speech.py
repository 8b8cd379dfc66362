"""How a client wants an answer to sound: by whom, in which file format, in which dialect.

Not here: making the sound (the service), writing it into answers (render_speech).
"""

from __future__ import annotations

from dataclasses import dataclass

from myna.core.errors import InvalidRequest, Unsupported
from myna.core.requests import Speech
from myna.core.service import ModelCard
from myna.media.compress import CODECS
from myna.server.schemas.chat import ChatRequest
from myna.server.schemas.media import Dialect, VoiceReference

WAV, PCM = "wav", "pcm16"
FORMATS = {"wav": WAV, "pcm16": PCM, "pcm": PCM, **{name: name for name in CODECS}}
# Names of other makers' voices -> the voice of an open model that comes closest.
VOICE_ALIASES = {
    **dict.fromkeys(("alloy", "echo", "fable", "verse", "ballad"), "ethan"),
    **dict.fromkeys(("nova", "shimmer", "coral", "sage", "marin", "cherry"), "chelsie"),
    **dict.fromkeys(("onyx", "ash", "cedar"), "aiden"),
}


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """Say how one answer is to sound."""

    speech: Speech
    format: str
    dialect: Dialect = "both"


def spoken_chat(wire: ChatRequest, card: ModelCard) -> Spoken | None:
    """Read whether, and how, a chat answer is to be spoken."""
    if "audio" not in (wire.modalities or ()):
        return None
    if "audio" not in card.outputs:
        outputs = ", ".join(card.outputs)
        raise Unsupported(f"{card.id!r} answers with {outputs} only.", param="modalities")
    wish = wire.audio
    usual = PCM if wire.stream else WAV
    return Spoken(
        speech=Speech(voice=voice_of(wish.voice if wish else None, card, param="audio.voice")),
        format=format_of(wish.format if wish else None, usual=usual, param="audio.format"),
        dialect=wire.audio_dialect or "both",
    )


def voice_of(wish: str | VoiceReference | None, card: ModelCard, *, param: str) -> str | None:
    """Find the voice that is meant; other makers' names mean the nearest one.

    Raises:
        Unsupported: the model has no voice at all.
        InvalidRequest: it has no such voice.
    """
    if not card.voices:
        raise Unsupported(f"{card.id!r} has no voices; ask for text alone.", param=param)
    if wish is None:
        return None
    name = (wish.id if isinstance(wish, VoiceReference) else wish).lower()
    for voice in (name, VOICE_ALIASES.get(name)):
        if voice in card.voices:
            return voice
    raise InvalidRequest(
        f"{card.id!r} has no voice {name!r}; its voices are {', '.join(card.voices)}.",
        param=param,
        code="unknown_voice",
    )


def format_of(wish: str | None, *, usual: str, param: str) -> str:
    """Find the file format that is meant."""
    if wish is None:
        return usual
    if wish not in FORMATS:
        raise Unsupported(
            f"Sound is written as {', '.join(FORMATS)}, not as {wish!r}; ask for one of these.",
            param=param,
        )
    return FORMATS[wish]
