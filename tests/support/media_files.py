"""Pictures, sounds and videos of known content, encoded on the spot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from av.audio.resampler import AudioResampler
from PIL import Image


def write_sound(
    samples: np.ndarray, *, form: str, codec: str, rate_hz: int, layout: str = "mono"
) -> bytes:
    """Encode (channels, W) floats."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate_hz)
        stream.layout = layout
        _encode_sound(container, stream, samples, rate_hz=rate_hz, layout=layout)
    return file.getvalue()


def _encode_sound(
    container: av.container.OutputContainer,
    stream: av.AudioStream,
    samples: np.ndarray,
    *,
    rate_hz: int,
    layout: str,
) -> None:
    frame = av.AudioFrame.from_ndarray(samples.astype(np.float32), format="fltp", layout=layout)
    frame.sample_rate = rate_hz
    resampler = AudioResampler(format=stream.format, layout=layout, rate=rate_hz)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))


def level_of_frame(idx: int) -> int:
    """Tell how bright frame `idx` of a written video is: frames next to each other differ."""
    return 16 + (idx * 37) % 220


def write_video(
    num_frames: int,
    *,
    form: str = "mp4",
    codec: str = "libx264",
    fps: int = 30,
    size: tuple[int, int] = (64, 64),
    stamps: Sequence[int] | None = None,
    with_sound: bool = False,
) -> bytes:
    """Encode grey frames of `level_of_frame`; `stamps` are their times in thousandths."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "qp": "4", "bf": "2"}
        sound = container.add_stream("aac", rate=16_000) if with_sound else None
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for idx in range(num_frames):
            grey = np.full((size[1], size[0], 3), level_of_frame(idx), np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            if stamps is not None:
                frame.pts, frame.time_base = stamps[idx], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            tone = np.sin(np.arange(16_000 * num_frames // fps) * 0.2)[None] / 2
            _encode_sound(container, sound, tone, rate_hz=16_000, layout="mono")
    return file.getvalue()


def write_image(pixels: np.ndarray, *, form: str = "PNG", orientation: int = 1) -> bytes:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif} if orientation != 1 else {}
    if form == "WEBP":
        options["lossless"] = True
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()
