"""Sound files as one channel of float32 samples.

Channels are averaged and the rate is changed by soxr at high quality, piece by piece: what a file
really holds is charged while it is decoded, and what its header promises is not believed.
Source: qwen-omni-utils 0.0.9 `process_audio_info` (librosa: mean of channels, soxr "HQ").
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from myna.core.errors import InvalidRequest
from myna.media.containers import check_codec, open_container
from myna.media.decoded import Samples, Sound
from myna.media.limits import MediaBudget

MODEL_RATE_HZ = 16_000
# Far above what any recording needs, far below what squares to infinity.
MAX_LEVEL = 1e6
# One bad packet is a tag at the end of a file; more than this share is damage.
MAX_BAD_SHARE = 0.01
# Decoders are in tune again this long after a jump.
PREROLL_S = 1.0


def decode_audio(data: bytes, budget: MediaBudget, *, rate_hz: int | None = MODEL_RATE_HZ) -> Sound:
    """Decode a sound file.

    Args:
        data: the file.
        budget: charged with each piece's seconds before it is kept.
        rate_hz: the rate to give; `None` keeps the file's own.
    """
    with open_container(data) as container:
        return read_sound(container, budget, rate_hz=rate_hz)


def read_sound(
    container: InputContainer,
    budget: MediaBudget,
    *,
    rate_hz: int | None = MODEL_RATE_HZ,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Sound:
    """Decode the first sound track of an open file, between two times if they are given."""
    if not container.streams.audio:
        raise InvalidRequest("the file has no sound track; send one that has", code="bad_media")
    check_codec(container.streams.audio[0])
    if start_s is not None and start_s > PREROLL_S:
        # What lies before is passed over where the file can be sought in, and decoded elsewhere.
        with contextlib.suppress(av.FFmpegError):
            container.seek(round((start_s - PREROLL_S) * av.time_base))
    pieces: list[Samples] = []
    rate: _Rate | None = None
    for frame in _frames(container):
        budget.check_channels(frame.sample_rate, frame.layout.nb_channels)
        if end_s is not None and frame.time is not None and frame.time >= end_s:
            break
        if rate is None or rate.from_hz != frame.sample_rate:
            if rate is not None:
                pieces.append(rate.finish())
            to_hz = rate_hz or (rate.to_hz if rate else frame.sample_rate)
            rate = _Rate(frame.sample_rate, to_hz)
        piece = _cut(_mono(frame), frame, start_s=start_s, end_s=end_s)
        budget.charge_audio(len(piece) / frame.sample_rate)
        pieces.append(rate.add(piece))
    if rate is None:
        raise InvalidRequest("the sound track is empty; send one with sound", code="bad_media")
    pieces.append(rate.finish())
    return Sound(samples=_checked(np.concatenate(pieces)), rate_hz=rate.to_hz)


class _Rate:
    """Change the rate of one stretch of sound, piece by piece."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self.to_hz = to_hz
        self._num_in = self._num_out = 0
        self._stream = (
            None
            if from_hz == to_hz
            else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
        )

    def add(self, samples: Samples) -> Samples:
        """Take a piece, and give what can be given so far."""
        self._num_in += len(samples)
        if self._stream is None:
            return samples
        out: Samples = self._stream.resample_chunk(samples)
        self._num_out += len(out)
        return out

    def finish(self) -> Samples:
        """Give the rest, so that the whole is as long as librosa makes it."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        rest: Samples = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        num_missing = math.ceil(self._num_in * self.to_hz / self.from_hz) - self._num_out
        rest = rest[: max(num_missing, 0)]
        return np.pad(rest, (0, max(num_missing - len(rest), 0)))


def _frames(container: InputContainer) -> Iterator[AudioFrame]:
    """Decode the first sound track, passing over a few packets that are no sound."""
    stream = container.streams.audio[0]
    num_good = num_bad = 0
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
                num_good += 1
            except av.FFmpegError as error:
                num_bad += 1
                if num_bad > 1 + num_good * MAX_BAD_SHARE:
                    raise _damaged() from error
    except (av.FFmpegError, ValueError, ArithmeticError) as error:
        raise _damaged() from error


def _mono(frame: AudioFrame) -> Samples:
    """Average the channels of a frame of any sample format: (W,) float32."""
    # Packed, since PyAV 18.1.0 reads beyond its planes when there are eight channels of them.
    parts = AudioResampler(format="flt").resample(frame)
    packed = np.concatenate([part.to_ndarray() for part in parts], axis=1)
    channels = packed.reshape(-1, frame.layout.nb_channels)  # (W, channels)
    mono: Samples = channels.mean(axis=1, dtype=np.float32)
    return mono


def _cut(
    samples: Samples, frame: AudioFrame, *, start_s: float | None, end_s: float | None
) -> Samples:
    """Keep what lies between two times; a frame without a time is kept whole."""
    if frame.time is None:
        return samples
    first = 0 if start_s is None else round((start_s - frame.time) * frame.sample_rate)
    last = len(samples) if end_s is None else round((end_s - frame.time) * frame.sample_rate)
    return samples[max(first, 0) : max(last, 0)]


def _checked(samples: Samples) -> Samples:
    if not len(samples):
        raise InvalidRequest("the sound is empty; send one with samples", code="bad_media")
    # NaN fails the comparison too.
    if not float(np.abs(samples).max()) <= MAX_LEVEL:
        raise InvalidRequest(
            "the sound holds samples that are not numbers, or beyond all levels; save it again",
            code="bad_media",
        )
    return samples


def _damaged() -> InvalidRequest:
    return InvalidRequest(
        "the sound track is damaged and cannot be decoded; save it again", code="bad_media"
    )
