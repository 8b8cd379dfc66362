from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from myna.media.encode import encode_pcm16, encode_wav, wav_header


def test_a_wav_file_is_read_by_the_standard_library() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 2_400)
    with wave.open(io.BytesIO(encode_wav(samples, rate_hz=24_000))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert np.abs(pcm / 32767 - samples).max() <= 0.5 / 32767 + 1e-7


def test_louder_samples_are_clipped() -> None:
    assert np.frombuffer(encode_pcm16([-2.0, 2.0, 0.0]), "<i2").tolist() == [-32767, 32767, 0]


def test_a_stream_begins_with_a_header_of_unknown_length() -> None:
    header = wav_header(rate_hz=24_000, num_samples=None)
    assert (len(header), header[4:8], header[40:44]) == (44, b"\xff" * 4, b"\xff" * 4)


def test_samples_that_are_no_numbers_are_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="samples to encode must be finite"):
        encode_pcm16([0.0, np.nan])
