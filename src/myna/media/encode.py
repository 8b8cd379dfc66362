"""Sound to bytes: 16-bit PCM, bare or in a WAV file, whole or as it comes.

Not here: where the samples come from.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import ArrayLike

BITS = 16
SAMPLE_BYTES = BITS // 8
PCM_FORMAT = 1  # WAVE_FORMAT_PCM
HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
HEADER_AFTER_SIZE_BYTES = HEADER.size - 8
# What the size fields hold while the length is not known yet; players then read to the end.
UNKNOWN_BYTES = 0xFFFFFFFF
MAX_LEVEL = 32767


def encode_pcm16(samples: ArrayLike) -> bytes:
    """Write samples between -1 and 1 as little-endian 16-bit integers; louder ones are clipped.

    Args:
        samples: (W,) floats; all must be numbers.
    """
    floats = np.asarray(samples, np.float32)
    if not np.isfinite(floats).all():
        raise ValueError("samples to encode must be finite; the vocoder gave others")
    integers = np.rint(floats.clip(-1.0, 1.0) * MAX_LEVEL).astype("<i2")
    return bytes(integers.data)


def wav_header(*, rate_hz: int, num_samples: int | None) -> bytes:
    """Write the header of a WAV file of one channel.

    Args:
        rate_hz: samples a second.
        num_samples: how many will follow; `None` for a stream whose length is not known.
    """
    num_bytes = UNKNOWN_BYTES if num_samples is None else num_samples * SAMPLE_BYTES
    file_bytes = min(num_bytes + HEADER_AFTER_SIZE_BYTES, UNKNOWN_BYTES)
    return HEADER.pack(
        b"RIFF", file_bytes, b"WAVE",
        b"fmt ", 16, PCM_FORMAT, 1, rate_hz, rate_hz * SAMPLE_BYTES, SAMPLE_BYTES, BITS,
        b"data", num_bytes,
    )  # fmt: skip


def encode_wav(samples: ArrayLike, *, rate_hz: int) -> bytes:
    """Write a whole WAV file of one channel."""
    pcm = encode_pcm16(samples)
    return wav_header(rate_hz=rate_hz, num_samples=len(pcm) // SAMPLE_BYTES) + pcm
