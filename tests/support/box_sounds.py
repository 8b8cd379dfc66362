"""What the model in the box was shown on its tour, as a microphone and a camera would give it."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray
from PIL import Image

from myna import embedded
from talk_sounds import pcm16, silence

TOUR = Path(embedded.__file__).with_name("tour")
A_THING, ABOUT_IT = TOUR / "1.png", TOUR / "1.flac"
A_SUM = TOUR / "2.flac"
A_CLIP = TOUR / "3.mkv"
MICROPHONE_HZ = 48_000
CAMERA_PX = (640, 480)


def samples_of(path: Path, *, rate_hz: int) -> NDArray[np.float32]:
    """Decode a sound file: (W,), from -1 to 1."""
    resampler = AudioResampler(format="fltp", layout="mono", rate=rate_hz)
    with av.open(path) as file:
        frames = [*file.decode(audio=0), None]
        parts = [part.to_ndarray()[0] for each in frames for part in resampler.resample(each)]
    return np.concatenate(parts).astype(np.float32)


def wave_file(samples: NDArray[np.float32], *, rate_hz: int) -> bytes:
    """Write (W,) samples as a WAV file of 16 bits."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(pcm16(samples))
    return out.getvalue()


def microphone_file(speech: Path, *, before_s: float, after_s: float) -> bytes:
    """Write what a fake microphone hears, over and over: quiet, something said, quiet."""
    parts = (
        silence(before_s, rate_hz=MICROPHONE_HZ),
        samples_of(speech, rate_hz=MICROPHONE_HZ),
        silence(after_s, rate_hz=MICROPHONE_HZ),
    )
    return wave_file(np.concatenate(parts), rate_hz=MICROPHONE_HZ)


def camera_file(picture: Path) -> bytes:
    """Write what a fake camera sees, over and over: one picture, as MJPEG."""
    out = io.BytesIO()
    with Image.open(picture) as image:
        image.convert("RGB").resize(CAMERA_PX).save(out, "JPEG", quality=95)
    return out.getvalue()
