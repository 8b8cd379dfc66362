"""Bare samples of calls."""

from __future__ import annotations

import numpy as np
import pytest

from myna.server.realtime.sound import (
    Kind,
    Speaker,
    as_floats,
    decode,
    encode_a_law,
    encode_mu_law,
    g711_format,
    pcm_format,
)

ALL = np.arange(-32768, 32768).astype(np.int16)
# ITU-T G.711: codes and the values that they stand for, scaled to 16 bits.
KNOWN = {
    "pcmu": {0x00: -32124, 0x7F: 0, 0x80: 32124, 0xFF: 0, 0xEF: 132},
    "pcma": {0xD5: 8, 0x55: -8, 0xAA: 32256, 0x2A: -32256},
}


@pytest.mark.parametrize("kind", ["pcmu", "pcma"])
def test_codes_stand_for_the_values_of_the_standard(kind: Kind) -> None:
    for code, value in KNOWN[kind].items():
        assert decode(bytes([code]), kind)[0] == value


@pytest.mark.parametrize("kind", ["pcmu", "pcma"])
def test_every_code_is_written_as_it_was_read(kind: Kind) -> None:
    encode = encode_mu_law if kind == "pcmu" else encode_a_law
    codes = bytes(range(256))
    again = encode(decode(codes, kind))
    assert [a for a, b in zip(codes, again, strict=True) if a != b] in ([], [0x7F])


@pytest.mark.parametrize("kind", ["pcmu", "pcma"])
def test_every_sample_is_near_what_is_read_back(kind: Kind) -> None:
    encode = encode_mu_law if kind == "pcmu" else encode_a_law
    again = decode(encode(ALL), kind).astype(np.int32)
    allowed = np.maximum(np.abs(ALL.astype(np.int32)) / 16, 16)
    clipped = np.abs(ALL.astype(np.int32)) > 32_000
    assert (np.abs(again - ALL)[~clipped] <= allowed[~clipped]).all()


def test_sound_at_the_same_rate_passes_through() -> None:
    assert Speaker(pcm_format(24_000)).write(b"abcd", rate_hz=24_000) == b"abcd"


@pytest.mark.parametrize("output", [pcm_format(8_000), pcm_format(48_000), g711_format("pcma")])
def test_sound_is_brought_to_the_wanted_rate_piece_by_piece(output: object) -> None:
    t = np.arange(24_000) / 24_000
    tone = (8000 * np.sin(2 * np.pi * 440 * t)).astype("<i2")
    speaker = Speaker(output)  # type: ignore[arg-type]
    data = b"".join(speaker.write(part.tobytes(), rate_hz=24_000) for part in np.split(tone, 10))
    samples = as_floats(decode(data, output.kind))  # type: ignore[attr-defined]
    assert 0.9 < len(samples) / output.rate_hz <= 1.0  # type: ignore[attr-defined]
    middle = samples[len(samples) // 4 : len(samples) // 2]
    assert float(np.abs(middle).max()) == pytest.approx(8000 / 32768, rel=0.05)
    crossings = int(np.sum(np.diff(np.signbit(samples))))
    assert crossings / (len(samples) / output.rate_hz) == pytest.approx(880, rel=0.02)  # type: ignore[attr-defined]
