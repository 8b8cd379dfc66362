"""Sound files that grow: every format reads back as what was spoken, at the tempo asked for."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from myna.media.compress import CODECS, MEDIA_TYPES, Tempo, encode_sound, sound_encoder
from myna.media.encode import wav_header

RATE_HZ = 24_000
TONE_HZ = 440
PIECE_BYTES = 2 * 1920


def tone(seconds: float) -> bytes:
    times_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (8000 * np.sin(2 * np.pi * TONE_HZ * times_s)).astype("<i2").tobytes()


def grow(file_format: str, pcm: bytes) -> list[bytes]:
    encoder = sound_encoder(file_format, rate_hz=RATE_HZ)
    pieces = [encoder.add(pcm[at : at + PIECE_BYTES]) for at in range(0, len(pcm), PIECE_BYTES)]
    return [*pieces, encoder.finish()]


def read(data: bytes) -> tuple[np.ndarray, int]:
    with av.open(io.BytesIO(data)) as file:
        frames = [frame.to_ndarray()[0] for frame in file.decode(audio=0)]
        return np.concatenate(frames).astype(np.float64), file.streams[0].rate


def pitch_hz(samples: np.ndarray, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate_hz / len(samples))


@pytest.mark.parametrize("file_format", [*CODECS, "wav"])
def test_a_file_that_grew_holds_the_sound(file_format: str) -> None:
    pieces = grow(file_format, tone(1.0))
    samples, rate_hz = read(b"".join(pieces))
    assert len(samples) / rate_hz == pytest.approx(1.0, abs=0.08)
    assert pitch_hz(samples, rate_hz) == pytest.approx(TONE_HZ, abs=2)
    assert sum(len(piece) > 0 for piece in pieces) >= 5  # it came bit by bit


@pytest.mark.parametrize("file_format", MEDIA_TYPES)
def test_whole_files_and_grown_ones_hold_the_same(file_format: str) -> None:
    pcm = tone(0.3)
    whole, grown = encode_sound(pcm, file_format, rate_hz=RATE_HZ), b"".join(grow(file_format, pcm))
    if file_format == "pcm16":
        assert whole == grown == pcm
    else:
        assert len(read(whole)[0]) == len(read(grown)[0])


@pytest.mark.parametrize("file_format", MEDIA_TYPES)
def test_no_sound_is_no_fault(file_format: str) -> None:
    data = encode_sound(b"", file_format, rate_hz=RATE_HZ)
    assert data == (wav_header(rate_hz=RATE_HZ, num_samples=0) if file_format == "wav" else b"")


@pytest.mark.parametrize("speed", [0.25, 0.7, 1.0, 2.0, 4.0])
def test_tempo_changes_the_length_but_not_the_pitch(speed: float) -> None:
    tempo, pcm = Tempo(speed, rate_hz=RATE_HZ), tone(1.0)
    pieces = [tempo.add(pcm[at : at + PIECE_BYTES]) for at in range(0, len(pcm), PIECE_BYTES)]
    samples = np.frombuffer(b"".join([*pieces, tempo.finish()]), "<i2")
    assert len(samples) / RATE_HZ == pytest.approx(1.0 / speed, abs=0.06)
    assert pitch_hz(samples[len(samples) // 4 :], RATE_HZ) == pytest.approx(TONE_HZ, abs=8)
