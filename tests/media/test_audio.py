from __future__ import annotations

import io
import math
import struct

import av
import numpy as np
import pytest
import soxr

from myna.core.errors import InvalidRequest, TooLarge, Unsupported
from myna.media.audio import decode_audio
from myna.media.encode import encode_pcm16, encode_wav
from myna.media.limits import MediaBudget, MediaLimits

LOSSY_RMS = 0.02


def tone(seconds: float, rate_hz: int, *, hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(np.arange(round(seconds * rate_hz)) * (2 * np.pi * hz / rate_hz))).astype(
        np.float32
    )


def wav(
    body: bytes, *, kind: int = 1, channels: int = 1, rate_hz: int = 16_000, bits: int = 16
) -> bytes:
    """Write a WAV file with any header."""
    align = channels * bits // 8
    form = struct.pack(
        "<HHIIHH", kind, channels, rate_hz, rate_hz * align & 0xFFFFFFFF, align, bits
    )
    return (
        b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt " + struct.pack("<I", 16) + form
        + b"data" + struct.pack("<I", len(body)) + body
    )  # fmt: skip


def rms(x: np.ndarray) -> float:
    return math.sqrt(float(np.mean(np.square(x, dtype=np.float64))))


def mp3(seconds: float, rate_hz: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp3", options={"write_xing": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=rate_hz)
        stream.layout = "mono"
        wave = tone(seconds, rate_hz)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate = rate_hz
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000, 192_000, 384_000])
def test_sound_is_brought_to_the_models_rate_as_the_reference_does(rate_hz: int) -> None:
    noise = np.random.default_rng(rate_hz).normal(0, 0.1, rate_hz // 3).astype(np.float32)
    sound = decode_audio(wav(noise.tobytes(), kind=3, bits=32, rate_hz=rate_hz), MediaBudget())
    expected = soxr.resample(noise, rate_hz, 16_000, quality="HQ")
    length = math.ceil(len(noise) * 16_000 / rate_hz)
    assert (sound.rate_hz, len(sound.samples)) == (16_000, length)
    common = min(length, len(expected))
    assert np.abs(sound.samples[:common] - expected[:common]).max() < 1e-6


@pytest.mark.parametrize(
    ("form", "codec", "rate_hz"),
    [
        ("wav", "pcm_s16le", 44_100),
        ("wav", "pcm_s24le", 48_000),
        ("wav", "pcm_u8", 16_000),
        ("flac", "flac", 44_100),
        ("mp3", "libmp3lame", 44_100),
        ("ogg", "libopus", 48_000),
        ("webm", "libopus", 48_000),
        ("ipod", "aac", 44_100),
        ("ipod", "alac", 44_100),
        ("adts", "aac", 44_100),
    ],
)
def test_every_format_gives_the_same_tone(write_sound, form: str, codec: str, rate_hz: int) -> None:
    wave = tone(1.0, rate_hz)
    data = write_sound(wave[None], form=form, codec=codec, rate_hz=rate_hz)
    samples = decode_audio(data, MediaBudget()).samples
    assert 0.95 < len(samples) / 16_000 < 1.1
    # The loudest frequency, away from the ends.
    spectrum = np.abs(np.fft.rfft(samples[2_000:14_000] * np.hanning(12_000)))
    assert abs(int(spectrum.argmax()) * 16_000 / 12_000 - 440) < 2
    assert abs(rms(samples[2_000:14_000]) - 0.5 / math.sqrt(2)) < LOSSY_RMS


def test_a_file_keeps_its_own_rate_if_asked(write_sound) -> None:
    wave = np.round(tone(0.1, 44_100) * 32768) / 32768
    data = write_sound(wave[None], form="flac", codec="flac", rate_hz=44_100)
    sound = decode_audio(data, MediaBudget(), rate_hz=None)
    assert sound.rate_hz == 44_100
    assert sound.duration_s == pytest.approx(0.1)
    assert np.abs(sound.samples - wave).max() < 2**-14


@pytest.mark.parametrize("channels", [2, 3, 6, 8])
def test_channels_are_averaged(channels: int) -> None:
    each = np.random.default_rng(0).normal(0, 0.1, (500, channels)).astype(np.float32)
    data = wav(each.tobytes(), kind=3, bits=32, channels=channels)
    assert np.allclose(decode_audio(data, MediaBudget()).samples, each.mean(axis=1), atol=1e-7)


def test_pcm_that_we_write_comes_back() -> None:
    wave = tone(0.2, 16_000)
    samples = decode_audio(encode_wav(wave, rate_hz=16_000), MediaBudget()).samples
    assert np.abs(samples - np.frombuffer(encode_pcm16(wave), "<i2") / 32768).max() < 1e-7


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
def test_samples_that_are_no_numbers_are_refused(bad: float) -> None:
    wave = np.full(1600, bad, np.float32)
    with pytest.raises(InvalidRequest, match="not numbers, or beyond all levels"):
        decode_audio(wav(wave.tobytes(), kind=3, bits=32), MediaBudget())


def test_sound_longer_than_the_limit_is_refused_while_it_is_decoded(write_sound) -> None:
    data = write_sound(np.zeros((1, 480_000)), form="ogg", codec="libopus", rate_hz=48_000)
    budget = MediaBudget(MediaLimits(max_audio_s=2.0))
    with pytest.raises(TooLarge, match="lasts longer than 2 s"):
        decode_audio(data, budget)
    assert budget.spent.audio_s < 2.2


def test_a_file_without_samples_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="the sound track is empty"):
        decode_audio(wav(b""), MediaBudget())


def test_a_video_without_sound_is_no_sound(write_video) -> None:
    with pytest.raises(InvalidRequest, match="no sound track"):
        decode_audio(write_video(3), MediaBudget())


def test_codings_that_are_not_listed_are_refused(write_sound) -> None:
    data = write_sound(tone(0.1, 48_000)[None], form="matroska", codec="ac3", rate_hz=48_000)
    with pytest.raises(Unsupported, match="a coding that is not read here"):
        decode_audio(data, MediaBudget())


def test_damage_beyond_a_packet_is_refused(write_sound) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 160_000))
    data = bytearray(write_sound(noise, form="ipod", codec="aac", rate_hz=16_000))
    middle = len(data) // 2
    data[middle // 2 : middle] = b"\xff" * (middle - middle // 2)
    with pytest.raises(InvalidRequest, match="the sound track is damaged"):
        decode_audio(bytes(data), MediaBudget())


def test_sounds_one_after_another_in_a_file_are_joined(write_sound) -> None:
    parts = [
        write_sound(tone(0.5, 48_000)[None], form="ogg", codec="libopus", rate_hz=48_000)
        for _ in range(2)
    ]
    samples = decode_audio(b"".join(parts), MediaBudget()).samples
    assert abs(len(samples) / 16_000 - 1.0) < 0.05


def test_a_rate_that_changes_within_a_file_is_followed() -> None:
    """Join two streams of MP3 frames, which stand alone."""
    parts = [mp3(0.5, 44_100), mp3(0.5, 48_000)]
    sound = decode_audio(b"".join(parts), MediaBudget())
    assert sound.rate_hz == 16_000
    assert abs(sound.duration_s - 1.0) < 0.2


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="the file is empty"):
        decode_audio(io.BytesIO().getvalue(), MediaBudget())
