"""How each kind of sound event sounds: instruments from a soundfont, all else computed."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from myna.train.examples import Samples
from myna.train.sound import soundfont
from myna.train.sound.utterance import RATE_HZ

Wave = NDArray[np.float64]
Maker = Callable[[float, float, random.Random], Samples]
PROGRAMS = {  # of General MIDI, with the keys that sound natural
    "piano": ((0, 1, 2), (40, 84)),
    "guitar": ((24, 25), (43, 72)),
    "flute": ((73,), (62, 88)),
    "violin": ((40,), (57, 88)),
    "trumpet": ((56,), (55, 80)),
    "organ": ((16, 19), (45, 80)),
    "harp": ((46,), (50, 88)),
}


def instrument(kind: str, key: int, seconds: float, rng: random.Random) -> Samples:
    """Play one note of an instrument, of some make.

    Args:
        kind: a name of `PROGRAMS`.
        key: 60 is the middle C.
        seconds: until it is released, to a tenth.
        rng: chooses the make.
    """
    programs, _ = PROGRAMS[kind]
    return soundfont.note(rng.choice(programs), key, max(1, round(seconds * 10)))


def _times(seconds: float) -> Wave:
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def _shaped(wave: Wave, *, attack_s: float = 0.005, release_s: float = 0.01) -> Samples:
    """Let a wave begin and end without a click."""
    rise = np.arange(1, len(wave) + 1) / max(1.0, attack_s * RATE_HZ)
    fall = np.arange(len(wave), 0, -1) / max(1.0, release_s * RATE_HZ)
    return np.asarray(wave * np.minimum(1.0, np.minimum(rise, fall)), np.float32)


def _noise(length: int, rng: random.Random) -> Wave:
    return np.random.default_rng(rng.randrange(1 << 30)).standard_normal(length)


def _band(wave: Wave, low_hz: float, high_hz: float) -> Wave:
    spectrum = np.fft.rfft(wave)
    hz = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0.0
    return np.asarray(np.fft.irfft(spectrum, len(wave)))


def gliding(start_hz: float, end_hz: float, seconds: float) -> Samples:
    """Sound a tone whose pitch moves evenly, in octaves, from one height to another."""
    times = _times(seconds)
    hz = start_hz * (end_hz / start_hz) ** (times / seconds)
    phase = 2 * np.pi * np.cumsum(hz) / RATE_HZ
    return _shaped(np.sin(phase) + 0.2 * np.sin(2 * phase), attack_s=0.02, release_s=0.03)


def beep(hz: float, seconds: float, rng: random.Random) -> Samples:
    """Sound an electronic signal, round or hard."""
    wave = np.sin(2 * np.pi * hz * _times(seconds))
    hard = rng.choice((1.0, 1.0, 3.0))
    return _shaped(np.tanh(hard * wave) / np.tanh(hard))


def tone(hz: float, seconds: float, rng: random.Random) -> Samples:
    """Sound a plain, steady tone that swells and fades."""
    wave = np.sin(2 * np.pi * hz * _times(seconds))
    return _shaped(wave, attack_s=rng.uniform(0.03, 0.08), release_s=0.1)


def buzz(hz: float, seconds: float, rng: random.Random) -> Samples:
    """Sound a hum full of harmonics."""
    cycles = (_times(seconds) * hz) % 1.0
    return _shaped(2 * cycles - 1 + 0.05 * rng.random(), release_s=0.03)


def bell(hz: float, seconds: float, rng: random.Random) -> Samples:
    """Strike a bell: partials out of tune, the high ones dying first."""
    times = _times(seconds)
    partials = ((0.5, 0.6), (1, 1), (1.19, 0.6), (1.5, 0.4), (2, 0.8), (2.74, 0.4), (4.07, 0.3))
    detune = rng.uniform(0.99, 1.01)
    sum_ = sum(
        level * np.sin(2 * np.pi * hz * ratio * detune * times) * np.exp(-times * (2 + 1.3 * ratio))
        for ratio, level in partials
    )
    return _shaped(np.asarray(sum_), attack_s=0.002, release_s=0.05)


def clap(hz: float, seconds: float, rng: random.Random) -> Samples:
    """Clap hands once: a few bursts of noise close together."""
    times = _times(min(seconds, 0.25))
    envelope = np.zeros_like(times)
    for delay in (0.0, 0.011, 0.023):
        late = times - delay
        envelope += np.where(late >= 0, np.exp(-np.maximum(late, 0) * rng.uniform(60, 110)), 0.0)
    return _shaped(_band(_noise(len(times), rng) * envelope, 700, 3500), attack_s=0.001)


def click(hz: float, seconds: float, rng: random.Random) -> Samples:
    """Press a switch."""
    times = _times(0.05)
    ring = np.sin(2 * np.pi * rng.uniform(2000, 4500) * times)
    return _shaped(ring * np.exp(-times * 400), attack_s=0.0003)


def knock(hz: float, seconds: float, rng: random.Random) -> Samples:
    """Knock on wood."""
    times = _times(0.15)
    body = np.sin(2 * np.pi * rng.uniform(180, 320) * times)
    body += 0.5 * np.sin(2 * np.pi * rng.uniform(450, 700) * times)
    return _shaped(body * np.exp(-times * 45), attack_s=0.001)


def drum(hz: float, seconds: float, rng: random.Random) -> Samples:
    """Beat a drum: a falling thud with a rattle."""
    times = _times(0.35)
    phase = 2 * np.pi * np.cumsum(rng.uniform(48, 65) + 110 * np.exp(-times * 28)) / RATE_HZ
    rattle = _band(_noise(len(times), rng), 1000, 7000) * np.exp(-times * 35)
    return _shaped(np.sin(phase) * np.exp(-times * 9) + 0.15 * rattle, attack_s=0.001)


def noise(hz: float, seconds: float, rng: random.Random) -> Samples:
    """Hiss."""
    return _shaped(_noise(round(seconds * RATE_HZ), rng) * 0.4, attack_s=0.02, release_s=0.03)


def siren(hz: float, seconds: float, rng: random.Random) -> Samples:
    """Wail up and down."""
    times = _times(max(seconds, 1.0))
    swing = np.sin(2 * np.pi * rng.uniform(1.2, 2.2) * times)
    phase = 2 * np.pi * np.cumsum(rng.uniform(750, 950) * 1.45**swing) / RATE_HZ
    return _shaped(np.sin(phase) + 0.3 * np.sin(3 * phase), attack_s=0.03, release_s=0.05)


def whistle(hz: float, seconds: float, rng: random.Random) -> Samples:
    """Blow a whistle with a trembling pea in it."""
    times = _times(seconds)
    trill = rng.uniform(25, 40)
    phase = (
        2
        * np.pi
        * np.cumsum(rng.uniform(2300, 3000) * (1 + 0.03 * np.sin(2 * np.pi * trill * times)))
        / RATE_HZ
    )
    loudness = 0.7 + 0.3 * np.sin(2 * np.pi * trill * times)
    breath = _band(_noise(len(times), rng), 2000, 6000) * 0.15
    return _shaped(np.sin(phase) * loudness + breath, attack_s=0.02, release_s=0.03)


def chord(hz: float, seconds: float, rng: random.Random) -> Samples:
    """Sound three tones together."""
    third = rng.choice((4, 3))
    times = _times(seconds)
    sum_ = sum(
        np.sin(2 * np.pi * hz * 2 ** (step / 12) * times)
        + 0.3 * np.sin(4 * np.pi * hz * 2 ** (step / 12) * times)
        for step in (0, third, 7)
    )
    return _shaped(np.asarray(sum_), attack_s=0.02, release_s=0.08)


COMPUTED: dict[str, Maker] = {
    "beep": beep,
    "bell": bell,
    "buzz": buzz,
    "chord": chord,
    "clap": clap,
    "click": click,
    "drum": drum,
    "knock": knock,
    "noise": noise,
    "siren": siren,
    "tone": tone,
    "whistle": whistle,
}
