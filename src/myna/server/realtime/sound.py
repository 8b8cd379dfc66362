"""Bare samples as calls carry them: 16-bit PCM at several rates, and the telephone's 8-bit forms.

Source: ITU-T G.711 (µ-law and A-law, by its segments).
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import soxr
from numpy.typing import NDArray

from myna.media.encode import SAMPLE_BYTES, encode_pcm16

Kind = Literal["pcm", "pcmu", "pcma"]
TELEPHONE_HZ = 8000
FULL_SCALE = 32768.0
MU_BIAS = 0x84
MU_CLIP = 32635

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """Say what bare bytes of sound mean."""

    kind: Kind
    rate_hz: int

    @property
    def sample_bytes(self) -> int:
        """Give the bytes of one sample."""
        return SAMPLE_BYTES if self.kind == "pcm" else 1

    @property
    def mime_type(self) -> str:
        """Name the format as OpenAI's present API does."""
        return f"audio/{self.kind}"


def pcm_format(rate_hz: int) -> Format:
    """Give the format of 16-bit samples at a rate."""
    return Format(kind="pcm", rate_hz=rate_hz)


def g711_format(kind: Kind) -> Format:
    """Give a format of the telephone's."""
    return Format(kind=kind, rate_hz=TELEPHONE_HZ)


def decode(data: bytes, kind: Kind) -> NDArray[np.int16]:
    """Read bare bytes as 16-bit samples; whole samples only."""
    if kind == "pcm":
        return np.frombuffer(data, "<i2")
    codes = np.frombuffer(data, np.uint8)
    return (_MU_TABLE if kind == "pcmu" else _A_TABLE)[codes]


def as_floats(samples: NDArray[np.int16]) -> Floats:
    """Scale 16-bit samples to between -1 and 1."""
    floats: Floats = samples.astype(np.float32) / np.float32(FULL_SCALE)
    return floats


class Speaker:
    """Write an answer's sound in the form that a client asked for, piece by piece."""

    def __init__(self, output: Format) -> None:
        self._output = output
        self._from_hz: int | None = None
        self._resampler: soxr.ResampleStream | None = None

    def write(self, pcm: bytes, *, rate_hz: int) -> bytes:
        """Convert 16-bit samples at their own rate."""
        if self._output.kind == "pcm" and self._output.rate_hz == rate_hz:
            return pcm
        samples = np.frombuffer(pcm, "<i2")
        if self._output.rate_hz != rate_hz:
            if self._from_hz != rate_hz:
                self._from_hz = rate_hz
                self._resampler = soxr.ResampleStream(
                    rate_hz, self._output.rate_hz, 1, dtype="float32", quality="HQ"
                )
            assert self._resampler is not None
            floats = self._resampler.resample_chunk(as_floats(samples))
            samples = np.frombuffer(encode_pcm16(floats), "<i2")
        if self._output.kind == "pcm":
            return samples.tobytes()
        encode = encode_mu_law if self._output.kind == "pcmu" else encode_a_law
        return encode(samples)


def encode_mu_law(samples: NDArray[np.int16]) -> bytes:
    """Write 16-bit samples as µ-law."""
    values = samples.astype(np.int32)
    sign = np.where(values < 0, 0x80, 0)
    level = np.minimum(np.abs(values), MU_CLIP) + MU_BIAS
    segment = _num_bits(level >> 7) - 1
    step = (level >> (segment + 3)) & 0x0F
    codes: NDArray[np.uint8] = (~(sign | (segment << 4) | step) & 0xFF).astype(np.uint8)
    return codes.tobytes()


def encode_a_law(samples: NDArray[np.int16]) -> bytes:
    """Write 16-bit samples as A-law."""
    values = samples.astype(np.int32) >> 3
    mask = np.where(values >= 0, 0xD5, 0x55)
    level = np.where(values >= 0, values, -values - 1)
    segment = _num_bits(level >> 5)
    step = np.where(segment < 2, level >> 1, level >> segment) & 0x0F
    codes: NDArray[np.uint8] = (((segment << 4) | step) ^ mask).astype(np.uint8)
    return codes.tobytes()


def _num_bits(numbers: Integers) -> Integers:
    """Count the bits that numbers take; none for 0."""
    bits: Integers = np.frexp(numbers)[1].astype(np.int32)
    return bits


def _mu_table() -> NDArray[np.int16]:
    codes = ~np.arange(256) & 0xFF
    segment = (codes >> 4) & 7
    level = ((((codes & 0x0F) << 3) + MU_BIAS) << segment) - MU_BIAS
    return np.where(codes & 0x80, -level, level).astype(np.int16)


def _a_table() -> NDArray[np.int16]:
    codes = np.arange(256) ^ 0x55
    segment = (codes >> 4) & 7
    low = ((codes & 0x0F) << 4) + 8
    level = np.where(segment == 0, low, (low + 0x100) << np.maximum(segment - 1, 0))
    return np.where(codes & 0x80, level, -level).astype(np.int16)


_MU_TABLE = _mu_table()
_A_TABLE = _a_table()
