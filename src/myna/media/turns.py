"""Where turns of speech begin and end in a stream of sound, and how long to wait for more.

Times are counted in samples of the sound itself, so the same sound gives the same turns however it
arrives. Not here: which windows hold speech (voice_activity), what is done about a turn (server).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from myna.media.voice_activity import RATE_HZ, WINDOW_SAMPLES, Floats, VoiceActivity

# Silero's own example: an utterance goes on at a lower probability than it needs to begin.
HYSTERESIS = 0.15
# Two windows, so that one click begins nothing.
NUM_WINDOWS_TO_START = 2
PAUSE_S = 0.16
TAPS_PER_PHASE = 16
# Below this no network is asked: a microphone that is switched off.
SILENCE_RMS = 1e-3

# What a text ends in when its speaker is done, or is still looking for words.
ENDS = tuple(".!?。！？…؟।")  # noqa: RUF001 - as other scripts write them
OPEN_ENDS = ("...", *",，、:;-–—")  # noqa: RUF001
OPEN_WORDS_TEXT = """
a an and as at because but for from if in is like my of on or so that the then to um uh er erm
well when which while who with und oder aber dass weil also ähm et mais ou que y pero o
呃 嗯 那个 然后 因为 但是
"""
OPEN_WORDS = frozenset(OPEN_WORDS_TEXT.split())
MIN_SILENCE_S, MIDDLE_SILENCE_S, MAX_SILENCE_S = 0.3, 0.6, 1.2


@dataclass(frozen=True, kw_only=True)
class Started:
    """Tell that somebody began to speak, at a sample of the stream."""

    at_sample: int


@dataclass(frozen=True, kw_only=True)
class Paused:
    """Tell that the speaker is silent for a moment; the turn may go on."""

    at_sample: int


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """Tell that the turn is over: its last speech ended at a sample of the stream."""

    at_sample: int


Turn = Started | Paused | Stopped


class SpeechFinder(Protocol):
    """Find turns in a stream; what a session is given instead of a microphone's owner."""

    silence_s: float

    def feed(self, samples: Floats) -> list[Turn]:
        """Take the next samples, and tell what became clear with them."""
        ...

    def reset(self) -> None:
        """Forget the turn that is open, if one is."""
        ...


class TurnDetector:
    """Find turns in a stream of sound; satisfies `SpeechFinder`.

    Args:
        network: tells speech from all else.
        rate_hz: of the stream; what this class tells is in its samples.
        threshold: the probability of speech that begins a turn.
        silence_s: silence that ends a turn; may be changed at any time.
    """

    def __init__(
        self,
        network: VoiceActivity,
        *,
        rate_hz: int,
        threshold: float = 0.5,
        silence_s: float = 0.5,
    ) -> None:
        self.silence_s = silence_s
        self._network = network
        self._threshold = threshold
        self._scale = rate_hz / RATE_HZ
        self._resampler = None if rate_hz == RATE_HZ else _Resampler(rate_hz)
        self._rest = np.zeros(0, np.float32)
        self._arrived: list[Floats] = []
        self._num_arrived = 0
        self._num_wanted = 1
        self._num_heard = 0
        self.reset()

    def reset(self) -> None:
        """Forget the turn that is open, if one is."""
        self._state = self._network.fresh()
        self._is_open = False
        self._is_paused = False
        self._num_loud = 0
        self._num_quiet = 0

    def feed(self, samples: Floats) -> list[Turn]:
        """Take the next samples, and tell what became clear with them.

        Args:
            samples: (W,) between -1 and 1, any number.
        """
        self._arrived.append(samples)
        self._num_arrived += len(samples)
        if self._num_arrived < self._num_wanted:
            return []  # Frames are shorter than windows: most of them only wait.
        samples = np.concatenate(self._arrived)
        self._arrived, self._num_arrived = [], 0
        if self._resampler is not None:
            samples = self._resampler.feed(samples)
        waiting = np.concatenate([self._rest, samples])
        num_windows = len(waiting) // WINDOW_SAMPLES
        windows = waiting[: num_windows * WINDOW_SAMPLES].reshape(num_windows, WINDOW_SAMPLES)
        self._rest = waiting[num_windows * WINDOW_SAMPLES :].copy()
        self._num_wanted = math.ceil((WINDOW_SAMPLES - len(self._rest)) * self._scale)
        return [turn for window in windows for turn in self._hear(window)]

    def _hear(self, window: Floats) -> list[Turn]:
        self._num_heard += WINDOW_SAMPLES
        is_silent = not self._is_open and float(np.sqrt(np.mean(window**2))) < SILENCE_RMS
        probability = 0.0 if is_silent else self._network.hear(window, self._state)
        if not self._is_open:
            return self._wait(probability)
        if probability >= self._threshold - HYSTERESIS:
            self._num_quiet = 0
            self._is_paused = False
            return []
        self._num_quiet += 1
        quiet_s = self._num_quiet * WINDOW_SAMPLES / RATE_HZ
        ended = self._sample(self._num_heard - self._num_quiet * WINDOW_SAMPLES)
        if quiet_s >= self.silence_s:
            self._is_open = self._is_paused = False
            self._num_loud = 0
            return [Stopped(at_sample=ended)]
        if quiet_s >= PAUSE_S and not self._is_paused:
            self._is_paused = True
            return [Paused(at_sample=ended)]
        return []

    def _wait(self, probability: float) -> list[Turn]:
        self._num_loud = self._num_loud + 1 if probability >= self._threshold else 0
        if self._num_loud < NUM_WINDOWS_TO_START:
            return []
        self._is_open = True
        self._num_quiet = 0
        began = self._num_heard - self._num_loud * WINDOW_SAMPLES
        return [Started(at_sample=self._sample(began))]

    def _sample(self, heard: int) -> int:
        return round(heard * self._scale)


class _Resampler:
    """Bring a stream to the network's rate, well enough to tell speech, in a few hundred bytes.

    A resampler for listening would hold forty kilobytes for each call.
    """

    def __init__(self, rate_hz: int) -> None:
        common = math.gcd(rate_hz, RATE_HZ)
        up, self._down = RATE_HZ // common, rate_hz // common
        widest = max(up, self._down)
        num_taps = TAPS_PER_PHASE * widest // up
        # A windowed sinc that lets through what the lower of both rates can hold.
        at = (np.arange(num_taps * up) - (num_taps * up - 1) / 2) / widest
        taps = np.sinc(at) * np.hanning(len(at))
        phases = (taps * up / taps.sum()).reshape(num_taps, up)[::-1]  # (tap, phase)
        # From each `down` samples, with those before them, come `up`: one product of matrices.
        self._filter = np.zeros((num_taps + self._down, up), np.float32)
        for idx in range(up):
            place, phase = divmod(idx * self._down, up)
            self._filter[place : place + num_taps, idx] = phases[:, phase]
        self._kept = np.zeros(num_taps, np.float32)

    def feed(self, samples: Floats) -> Floats:
        """Take the next samples; gives those that can be given by now: (W,) -> (W * up / down,)."""
        kept = np.concatenate([self._kept, samples])
        width = len(self._filter)
        num_blocks = max((len(kept) - width) // self._down + 1, 0)
        item = kept.strides[0]
        blocks = np.lib.stride_tricks.as_strided(
            kept, (num_blocks, width), (item * self._down, item), writeable=False
        )
        out: Floats = (blocks @ self._filter).ravel()
        self._kept = kept[num_blocks * self._down :].copy()
        return out


def silence_after(transcript: str) -> float:
    """Tell how long to wait for more after words that may or may not be a whole thought.

    Args:
        transcript: what was understood of the turn so far.

    Returns:
        Seconds: short after an end, long after a word that wants another.
    """
    text = transcript.strip()
    if not text:
        return MIDDLE_SILENCE_S
    if text.endswith(OPEN_ENDS):
        return MAX_SILENCE_S
    last_word = text.rstrip("".join(ENDS)).split()[-1:]
    if last_word and last_word[0].lower() in OPEN_WORDS:
        return MAX_SILENCE_S
    return MIN_SILENCE_S if text.endswith(ENDS) else MIDDLE_SILENCE_S
