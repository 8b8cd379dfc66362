"""Put an example to a service as a client does: files of sound, pictures and video, and text."""

from __future__ import annotations

import io
import itertools
import time
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from PIL import Image

from myna.core.events import AudioDelta, Failed, TextDelta
from myna.core.messages import AudioPart, ImagePart, Message, Part, TextPart, VideoPart
from myna.core.requests import ChatInput, Request, RequestId, SamplingParams, Speech
from myna.core.service import Service
from myna.media.encode import MAX_LEVEL, encode_wav
from myna.train import examples
from myna.train.examples import Clip, Example, Picture, Sound

SOUND_HZ = 16_000
MAX_TOKENS = 96
FLAC_SAMPLES = 4096  # of a block
QUALITY = {"crf": "8", "preset": "veryfast"}
_IDS = itertools.count()


@dataclass(frozen=True)
class Reply:
    """Hold what came back.

    Attributes:
        text: the answer; of a failed request, what failed.
        has_failed: whether the request failed.
        first_text_s: from sending to the first text.
        first_sound_s: the same to the first sound, if any was asked for.
        end_s: the same to the end.
        pcm: the spoken answer, 16-bit.
        rate_hz: samples a second of `pcm`.
    """

    text: str
    has_failed: bool = False
    first_text_s: float | None = None
    first_sound_s: float | None = None
    end_s: float = 0.0
    pcm: bytes = b""
    rate_hz: int = 0

    @property
    def spoken_s(self) -> float:
        """Give the length of the spoken answer in seconds."""
        return len(self.pcm) / 2 / self.rate_hz if self.rate_hz else 0.0


def message(example: Example) -> Message:
    """Write the question as a message with files in it."""
    return Message(role="user", content=tuple(part_of(part) for part in example.question))


def part_of(part: examples.Part) -> Part:
    """Write one part as clients send it.

    Raises:
        ValueError: it is still to be spoken, or only its mel frames are left.
    """
    match part:
        case str():
            return TextPart(text=part)
        case Sound(samples=samples):
            return AudioPart(data=encode_wav(samples, rate_hz=SOUND_HZ))
        case Picture(pixels=pixels):
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            return ImagePart(data=file.getvalue())
        case Clip():
            data = encode_video(part)
            return VideoPart(data=data, fps=part.fps, has_sound=part.sound is not None)
        case _:
            raise ValueError(f"{part} cannot be sent: let a voice say it, or keep its samples")


def encode_video(clip: Clip) -> bytes:
    """Write a Matroska file as cameras do, in H.264 of high quality, and the sound as it is."""
    file = io.BytesIO()
    rate = Fraction(clip.fps).limit_denominator(1000)
    with av.open(file, "w", format="matroska") as container:
        video = container.add_stream("libx264", rate=rate, options=QUALITY)
        video.height, video.width = clip.frames.shape[1:3]
        video.pix_fmt = "yuv444p"  # frames may have any size
        audio = None
        if clip.sound is not None:
            audio = container.add_stream("flac", rate=SOUND_HZ, layout="mono")
        for pixels in clip.frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None and clip.sound is not None:
            _mux_sound(container, audio, clip.sound)
    return file.getvalue()


def encode_flac(sound: Sound) -> bytes:
    """Write a FLAC file: a WAV file's samples in less room."""
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        _mux_sound(container, container.add_stream("flac", rate=SOUND_HZ, layout="mono"), sound)
    return file.getvalue()


def _mux_sound(container: OutputContainer, stream: AudioStream, sound: Sound) -> None:
    samples = (sound.samples.clip(-1, 1) * MAX_LEVEL).astype(np.int16)[None]  # (1, S)
    for start in range(0, samples.shape[1], FLAC_SAMPLES):
        part = np.ascontiguousarray(samples[:, start : start + FLAC_SAMPLES])
        frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
        frame.sample_rate, frame.pts = SOUND_HZ, start
        frame.time_base = Fraction(1, SOUND_HZ)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


async def ask(service: Service, question: Message, *, is_spoken: bool = False) -> Reply:
    """Ask, and wait for the whole answer; the likeliest token is always taken."""
    request = Request(
        id=RequestId(f"eval-{next(_IDS)}"),
        input=ChatInput(messages=(question,)),
        sampling=SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS),
        speech=Speech() if is_spoken else None,
    )
    started_s = time.monotonic()
    text, pcm, rate_hz = "", b"", 0
    first_text_s = first_sound_s = None
    async for event in service.generate(request):
        now_s = time.monotonic() - started_s
        match event:
            case TextDelta():
                text += event.text
                first_text_s = first_text_s or now_s
            case AudioDelta():
                pcm += event.pcm
                rate_hz = event.rate_hz
                first_sound_s = first_sound_s or now_s
            case Failed():
                return Reply(event.error.message, has_failed=True, end_s=now_s)
            case _:
                pass
    return Reply(
        text,
        first_text_s=first_text_s,
        first_sound_s=first_sound_s,
        end_s=time.monotonic() - started_s,
        pcm=pcm,
        rate_hz=rate_hz,
    )
