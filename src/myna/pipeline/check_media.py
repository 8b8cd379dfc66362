"""Check an omni model's ears, eyes and voice: a spoken sentence, a drawn shape, its own speech.

Not here: checks of text, and the order of all of them (check).
"""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

from PIL import Image, ImageDraw

from myna.core.events import AudioDelta, Event, TextDelta
from myna.core.messages import AudioPart, ImagePart, Message, Part, TextPart
from myna.core.requests import ChatInput, SamplingParams, SayInput, Speech
from myna.core.service import ModelCard, Service
from myna.media.encode import wav_header
from myna.pipeline.findings import Finding, ask
from myna.text.instructions import transcribe_prompt

# Spoken by espeak-ng; see samples/README.md.
SPOKEN_SENTENCE = "A small bird sings in the garden before breakfast."
SPOKEN_FILE = Path(__file__).parent / "samples" / "spoken_sentence.ogg"
MAX_WORD_ERRORS = 0.34
MAX_TOKENS = 48
SIDE_PX = 224


async def check_media(card: ModelCard, service: Service) -> AsyncIterator[Finding]:
    """Run the checks that this model's inputs and outputs allow."""
    if "audio" in card.inputs:
        heard = await _transcribe(service, SPOKEN_FILE.read_bytes())
        yield _compared("it hears a spoken sentence", heard)
    if "image" in card.inputs:
        yield await _sees(service)
    if "audio" in card.inputs and "audio" in card.outputs:
        wav = await _say(service)
        heard = await _transcribe(service, wav)
        seconds = len(wav) / 48_000
        yield _compared(f"it understands its own voice ({seconds:.1f} s)", heard)


def word_errors(said: str, heard: str) -> float:
    """Return the share of words that are wrong: the word error rate, case and marks aside."""
    expected, found = (re.findall(r"[a-z']+", text.lower()) for text in (said, heard))
    previous = list(range(len(found) + 1))
    for row, word in enumerate(expected, start=1):
        current = [row]
        for column, other in enumerate(found, start=1):
            change = previous[column - 1] + (word != other)
            current.append(min(change, previous[column] + 1, current[-1] + 1))
        previous = current
    return previous[-1] / max(len(expected), 1)


def red_circle_png() -> bytes:
    """Draw a red circle on white."""
    picture = Image.new("RGB", (SIDE_PX, SIDE_PX), "white")
    margin = SIDE_PX // 5
    box = (margin, margin, SIDE_PX - margin, SIDE_PX - margin)
    ImageDraw.Draw(picture).ellipse(box, fill="red")
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return out.getvalue()


def _compared(name: str, heard: str) -> Finding:
    errors = word_errors(SPOKEN_SENTENCE, heard)
    return Finding(
        name=name,
        passed=errors <= MAX_WORD_ERRORS,
        detail=f"{heard[:120]!r}, {errors:.0%} of the words wrong",
    )


async def _sees(service: Service) -> Finding:
    question = TextPart("Which shape is in this picture, and what colour is it? Answer briefly.")
    answer = _text(await _ask(service, ImagePart(red_circle_png()), question))
    lowered = answer.lower()
    is_right = "red" in lowered and any(word in lowered for word in ("circle", "disc", "round"))
    return Finding(name="it sees a red circle", passed=is_right, detail=repr(answer[:120]))


async def _transcribe(service: Service, sound: bytes) -> str:
    return _text(await _ask(service, AudioPart(sound), TextPart(transcribe_prompt())))


async def _say(service: Service) -> bytes:
    """Speak the sentence; return a WAV file."""
    events = await ask(
        service, SayInput(text=SPOKEN_SENTENCE), SamplingParams(seed=0), speech=Speech()
    )
    deltas = [event for event in events if isinstance(event, AudioDelta)]
    pcm = b"".join(delta.pcm for delta in deltas)
    rate_hz = deltas[0].rate_hz if deltas else 24_000
    return wav_header(rate_hz=rate_hz, num_samples=len(pcm) // 2) + pcm


async def _ask(service: Service, *parts: Part) -> list[Event]:
    asked = ChatInput(messages=(Message(role="user", content=parts),))
    return await ask(service, asked, SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS))


def _text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta)).strip()
