"""Where turns begin and end, in sounds of which it is known."""

from __future__ import annotations

import numpy as np
import pytest

from myna.media.turns import (
    MAX_SILENCE_S,
    MIDDLE_SILENCE_S,
    MIN_SILENCE_S,
    Paused,
    Started,
    Stopped,
    Turn,
    TurnDetector,
    _Resampler,
    silence_after,
)
from myna.media.voice_activity import Floats, VoiceActivity
from talk_sounds import silence, vowels

TOLERANCE_S = 0.15


@pytest.fixture(scope="module")
def network() -> VoiceActivity:
    return VoiceActivity.load()


def recording(rate_hz: int) -> Floats:
    """Speak for 1 s and for 1.5 s, after 0.5 s and after 1 s of silence."""
    sounds = [
        silence(0.5, rate_hz=rate_hz),
        vowels(1.0, rate_hz=rate_hz),
        silence(1.0, rate_hz=rate_hz),
        vowels(1.5, rate_hz=rate_hz, seed=1),
        silence(1.0, rate_hz=rate_hz),
    ]
    return np.concatenate(sounds)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 48_000])
def test_turns_are_found_at_every_rate(network: VoiceActivity, rate_hz: int) -> None:
    turns = TurnDetector(network, rate_hz=rate_hz).feed(recording(rate_hz))
    found = [turn for turn in turns if not isinstance(turn, Paused)]
    assert [type(turn) for turn in found] == [Started, Stopped, Started, Stopped]
    times_s = [turn.at_sample / rate_hz for turn in found]
    assert times_s == pytest.approx([0.5, 1.5, 2.5, 4.0], abs=TOLERANCE_S)


def test_turns_are_the_same_however_sound_comes(network: VoiceActivity) -> None:
    sound = recording(16_000)
    whole = TurnDetector(network, rate_hz=16_000).feed(sound)
    pieces: list[Turn] = []
    detector = TurnDetector(network, rate_hz=16_000)
    for piece in np.array_split(sound, 173):
        pieces += detector.feed(piece)
    assert pieces == whole


def test_a_longer_silence_joins_turns(network: VoiceActivity) -> None:
    turns = TurnDetector(network, rate_hz=16_000, silence_s=1.2).feed(recording(16_000))
    kinds = [type(turn) for turn in turns]
    assert kinds == [Started, Paused, Paused]


def test_the_patience_may_change_within_a_turn(network: VoiceActivity) -> None:
    detector = TurnDetector(network, rate_hz=16_000, silence_s=5.0)
    detector.feed(recording(16_000)[: 16_000 * 2])
    detector.silence_s = 0.3
    assert [type(turn) for turn in detector.feed(silence(0.1, rate_hz=16_000))] == [Stopped]


def test_noise_and_clicks_begin_nothing(network: VoiceActivity) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.05, 32_000).astype(np.float32)
    clicks = np.zeros(32_000, np.float32)
    clicks[::4000] = 0.9
    detector = TurnDetector(network, rate_hz=16_000)
    assert detector.feed(np.concatenate([noise, clicks, np.zeros(16_000, np.float32)])) == []


def test_what_was_forgotten_is_heard_anew(network: VoiceActivity) -> None:
    detector = TurnDetector(network, rate_hz=16_000)
    sound = vowels(1.0, rate_hz=16_000)
    assert [type(turn) for turn in detector.feed(sound)] == [Started]
    detector.reset()
    (again,) = detector.feed(sound)
    assert isinstance(again, Started)
    assert again.at_sample > 15_000


@pytest.mark.parametrize(
    ("transcript", "wait_s"),
    [
        ("That is all.", MIN_SILENCE_S),
        ("好的。", MIN_SILENCE_S),
        ("Is it?", MIN_SILENCE_S),
        ("I was walking", MIDDLE_SILENCE_S),
        ("", MIDDLE_SILENCE_S),
        ("and then, um", MAX_SILENCE_S),
        ("Because.", MAX_SILENCE_S),
        ("wait...", MAX_SILENCE_S),
        ("one, two,", MAX_SILENCE_S),
    ],
)
def test_the_wait_depends_on_what_was_said(transcript: str, wait_s: float) -> None:
    assert silence_after(transcript) == wait_s


@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 48_000, 44_100])
def test_a_tone_keeps_its_pitch_and_level_at_the_networks_rate(rate_hz: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz).astype(np.float32)
    resampler = _Resampler(rate_hz)
    out = np.concatenate([resampler.feed(part) for part in np.array_split(tone, 37)])
    assert len(out) == pytest.approx(16_000, abs=60)
    middle = out[4000:12_000]
    assert np.abs(middle).max() == pytest.approx(1.0, abs=0.03)
    assert np.sum(np.diff(np.signbit(middle))) == pytest.approx(440, abs=2)
