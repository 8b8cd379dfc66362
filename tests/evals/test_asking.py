"""Examples as messages with files in them, and what comes back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from myna.core.messages import AudioPart, ImagePart, Message, TextPart, VideoPart
from myna.evals import asking
from myna.media.audio import decode_audio
from myna.media.frame_choice import ClipOptions
from myna.media.image import decode_image
from myna.media.limits import MediaBudget
from myna.media.video import decode_video
from myna.train.examples import Clip, Example, Picture, Sound, Spoken

NEAR = 24  # levels: H.264 is not exact


def test_media_become_files_that_decode_to_what_they_were() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    tone = Sound(np.sin(np.arange(1600) / 9).astype(np.float32) / 2)
    made = asking.message(Example("x", (Picture(pixels), tone, "what is this?"), "y"))
    picture, sound, text = made.content
    assert isinstance(picture, ImagePart)
    assert isinstance(sound, AudioPart)
    assert text == TextPart(text="what is this?")
    assert np.array_equal(decode_image(picture.data, MediaBudget()).pixels, pixels)
    heard = decode_audio(sound.data, MediaBudget())
    assert np.abs(heard.samples - tone.samples).max() < 1e-3


@pytest.mark.parametrize("has_sound", [True, False])
def test_a_clip_keeps_its_frames_and_its_sound(has_sound: bool) -> None:
    frames = np.zeros((4, 64, 96, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[:, 20 * i : 20 * i + 20] = (200, 40, 90)
    sound = Sound(np.sin(np.arange(32_000) / 9).astype(np.float32) / 2) if has_sound else None
    part = asking.part_of(Clip(frames, 2.0, sound))
    assert isinstance(part, VideoPart)
    assert part.has_sound == has_sound
    options = ClipOptions(factor=32, fps=2.0, max_px=64 * 96, with_sound=has_sound)
    clip = decode_video(part.data, options, MediaBudget())
    assert clip.frames.shape == frames.shape
    assert np.abs(clip.frames.astype(int) - frames).mean() < NEAR
    assert (clip.sound is not None) == has_sound


def test_what_is_still_to_be_said_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="cannot be sent: let a voice say it"):
        asking.part_of(Spoken("hello"))


async def test_a_reply_is_timed_and_a_failure_is_told(
    scripted: Callable[..., object],
) -> None:
    question = asking.message(Example("x", ("hello",), "y"))

    def answer(asked: Message) -> str:
        return "refuse this" if asked.text == "bad" else "fine"

    service = scripted(answer)
    reply = await asking.ask(service, question, is_spoken=True)  # type: ignore[arg-type]
    assert reply.text == "fine"
    assert reply.first_text_s is not None
    assert reply.first_sound_s is not None
    assert reply.first_sound_s <= reply.end_s
    assert reply.spoken_s == pytest.approx(0.5)
    bad = asking.message(Example("x", ("bad",), "y"))
    refused = await asking.ask(service, bad)  # type: ignore[arg-type]
    assert refused.has_failed
    assert refused.text == "no"
    assert refused.spoken_s == 0
