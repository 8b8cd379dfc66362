"""How an answer is to sound: voices, formats, and who cannot speak."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from myna.core.errors import InvalidRequest, Unsupported
from myna.core.requests import Speech
from myna.core.service import ModelCard
from myna.server.schemas.chat import ChatRequest
from myna.server.speech import VOICE_ALIASES, Spoken, spoken_chat, voice_of

MUTE = ModelCard(id="m", family="f", context_length=10, created_s=0)
CARD = msgspec.structs.replace(MUTE, outputs=("text", "audio"), voices=("ethan", "aiden"))
BOTH = ["text", "audio"]


def spoken(card: ModelCard = CARD, **fields: Any) -> Spoken | None:
    body = {"messages": [{"role": "user", "content": "hi"}], **fields}
    return spoken_chat(msgspec.convert(body, ChatRequest), card)


def test_an_answer_is_spoken_if_it_is_asked_for() -> None:
    assert spoken() is None
    assert spoken(MUTE, modalities=["text"], audio={"voice": "x"}) is None
    assert spoken(modalities=BOTH) == Spoken(speech=Speech(voice=None), format="wav")
    assert spoken(modalities=["audio"], stream=True) == Spoken(speech=Speech(), format="pcm16")
    wish = {"voice": {"id": "Aiden"}, "format": "pcm"}
    assert spoken(modalities=BOTH, audio=wish, audio_dialect="qwen") == Spoken(
        speech=Speech(voice="aiden"), format="pcm16", dialect="qwen"
    )


def test_sound_is_refused_by_a_model_that_only_writes() -> None:
    with pytest.raises(Unsupported, match=r"'m' answers with text only"):
        spoken(MUTE, modalities=BOTH)


def test_a_model_without_voices_does_not_speak() -> None:
    with pytest.raises(Unsupported, match="'m' has no voices; ask for text alone"):
        voice_of("ethan", MUTE, param="voice")


@pytest.mark.parametrize("name", ["nobody", "", "nova", "chelsie"])
def test_an_unknown_voice_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(InvalidRequest, match="its voices are ethan, aiden") as caught:
        voice_of(name, CARD, param="voice")
    assert (caught.value.param, caught.value.code) == ("voice", "unknown_voice")


def test_names_of_other_makers_mean_the_nearest_voice() -> None:
    omni = msgspec.structs.replace(CARD, voices=("ethan", "chelsie", "aiden"))
    assert {voice_of(name, omni, param="voice") for name in VOICE_ALIASES} == set(omni.voices)
    assert voice_of("Alloy", CARD, param="voice") == "ethan"


@pytest.mark.parametrize("name", ["mp4", "ogg", "", "WAV"])
def test_formats_that_are_not_written_are_refused(name: str) -> None:
    with pytest.raises(
        Unsupported, match="written as wav, pcm16, pcm, mp3, opus, aac, flac, not as"
    ):
        spoken(modalities=BOTH, audio={"format": name})
