"""Batches of spoken clips with what is heard in every frame of the audio encoder."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myna.media.mel import mel
from myna.train.sound.events import ask
from myna.train.sound.frames import HZ, NUM_PHONE_SLOTS, Ids, Targets, event_targets, targets
from myna.train.sound.pool import Entry, Pool
from myna.train.sound.spectra import disturbed, resized
from myna.train.sound.utterance import RATE_HZ, Span

MARGIN_S = (0.06, 0.14)  # of sound kept before the first and after the last word
SPEEDS = (0.88, 1.14)  # factors of length, and of the height of formants
MIN_FRAMES = 20
STEP_FRAMES = 25
HARDENING_STEPS = 2_000  # until most batches are disturbed
HARDEST = 0.8
WINDOW = 24  # batches that are sorted by length together


@dataclass(frozen=True)
class Lesson:
    """Hold B clips of one length.

    Attributes:
        mel: (B, M, T) float32.
        phones: (B, N, 4) int64, for N frames of the encoder.
        words: (B, N, 2) int64.
        begins: (B, N, 2) int64.
        events: (B, N) int64, kinds of sound events.
        onsets: (B, N, 2) int64, one where an event begins.
        pitches: (B, N) int64, heights of events.
        texts: what is said.
        step: that it was made for.
    """

    mel: NDArray[np.float32]
    phones: Ids
    words: Ids
    begins: Ids
    events: Ids
    onsets: Ids
    pitches: Ids
    texts: tuple[str, ...]
    step: int


class Lessons:
    """Cut pools into batches; a step's batch depends on its number only.

    Args:
        pools: to draw from, each by its length.
        vocabulary: a number for each known word.
        frames: mel frames of a batch, about.
        seed: of order and disturbances.
        is_clean: leave sound as it is in the pool; otherwise ever more of it is disturbed.
    """

    def __init__(
        self,
        pools: tuple[Pool, ...],
        *,
        vocabulary: Mapping[str, int],
        frames: int,
        seed: int,
        is_clean: bool = False,
    ) -> None:
        self.pools = pools
        self.vocabulary = vocabulary
        self.frames = frames
        self.seed = seed
        self.is_clean = is_clean
        self.places = [(pool, i) for pool in range(len(pools)) for i in range(len(pools[pool]))]
        speech = np.concatenate([pool.speech for pool in pools])
        self.seconds = speech[:, 1] - speech[:, 0] + sum(MARGIN_S)
        self._planned: tuple[int, list[NDArray[np.int64]]] | None = None
        self.num_batches = len(self._plan(0))  # of the first epoch, and about of every other

    def at(self, step: int) -> Lesson:
        """Make the batch of a step."""
        plan = self._plan(step // self.num_batches)
        chosen = plan[step % self.num_batches % len(plan)]
        generator = np.random.default_rng((self.seed, 1, step))
        return self.lesson([self._entry(int(i)) for i in chosen], generator, step=step)

    def lesson(
        self, entries: list[Entry], generator: np.random.Generator, *, step: int = 0
    ) -> Lesson:
        """Put sentences anywhere in clips of one length."""
        cuts = [self._cut(entry, generator) for entry in entries]
        longest = max(len(cut) for cut, _, _ in cuts)
        extra = 10 if self.is_clean else int(generator.integers(5, 60))
        length = -(-(longest + extra) // STEP_FRAMES) * STEP_FRAMES
        batch = np.empty((len(cuts), length, cuts[0][0].shape[1]), np.float32)
        found: list[Targets] = []
        for row, (cut, words, phones) in zip(batch, cuts, strict=True):
            start = int(generator.integers(0, length - len(cut) + 1))
            row[:] = cut.min()
            row[start : start + len(cut)] = cut
            found.append(
                targets(
                    _moved(words, start / HZ),
                    _moved(phones, start / HZ),
                    num_mel_frames=length,
                    vocabulary=self.vocabulary,
                )
            )
        hardship = HARDEST * min(1.0, step / HARDENING_STEPS)
        if not self.is_clean and generator.random() < hardship:
            disturbed(batch, generator)
        begins = np.stack([target.begins for target in found])
        return Lesson(
            mel=batch.transpose(0, 2, 1),
            phones=np.stack([target.phones for target in found]),
            words=np.stack([target.words for target in found]),
            begins=begins,
            events=np.zeros(begins.shape[:2], np.int64),
            onsets=np.zeros_like(begins),
            pitches=np.zeros(begins.shape[:2], np.int64),
            texts=tuple(entry.text for entry in entries),
            step=step,
        )

    def _entry(self, i: int) -> Entry:
        pool, place = self.places[i]
        return self.pools[pool][place]

    def _cut(
        self, entry: Entry, generator: np.random.Generator
    ) -> tuple[NDArray[np.float32], tuple[Span, ...], tuple[Span, ...]]:
        """Keep what is spoken, at another speed and from another throat."""
        first = max(0, round((entry.words[0].start_s - MARGIN_S[0]) * HZ))
        last = min(len(entry.mel), round((entry.words[-1].end_s + MARGIN_S[1]) * HZ))
        speed, throat = (1.0, 1.0) if self.is_clean else generator.uniform(*SPEEDS, 2)
        num_frames = max(MIN_FRAMES, round((last - first) * speed))
        cut = resized(entry.mel[first:last], num_frames=num_frames, throat=throat)
        factor = num_frames / (last - first)
        return (
            cut,
            _moved(entry.words, -first / HZ, factor),
            _moved(entry.phones, -first / HZ, factor),
        )

    def _plan(self, epoch: int) -> list[NDArray[np.int64]]:
        """Gather entries of like length; batches hold about as many frames."""
        if self._planned is None or self._planned[0] != epoch:
            generator = np.random.default_rng((self.seed, 0, epoch))
            order = generator.permutation(len(self.places))
            per_batch = max(1, round(self.frames / (HZ * float(self.seconds.mean()))))
            batches: list[NDArray[np.int64]] = []
            for window in np.split(
                order, range(WINDOW * per_batch, len(order), WINDOW * per_batch)
            ):
                batches += self._filled(window[np.argsort(self.seconds[window])])
            chosen = generator.permutation(len(batches))
            self._planned = (epoch, [batches[i] for i in chosen])
        return self._planned[1]

    def _filled(self, ordered: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Cut entries, shortest first, where a batch would hold too many frames."""
        batches, start = [], 0
        for i in range(1, len(ordered) + 1):
            is_last = i == len(ordered)
            longest = 0.0 if is_last else self.seconds[ordered[i]] * HZ + STEP_FRAMES
            if is_last or longest * (i + 1 - start) > self.frames:
                batches.append(ordered[start:i])
                start = i
        return batches


def overheard(entry: Entry, rng: random.Random) -> NDArray[np.float16]:
    """Hear a sentence of a pool as it was never heard: (T, M) mel frames.

    Args:
        entry: of a pool.
        rng: chooses speed, throat, level, colour and noise.
    """
    generator = np.random.default_rng(rng.randrange(1 << 62))
    speed, throat = generator.uniform(*SPEEDS, 2)
    num_frames = max(MIN_FRAMES, round(len(entry.mel) * speed))
    changed = resized(entry.mel, num_frames=num_frames, throat=throat)
    heard: NDArray[np.float16] = disturbed(changed[None], generator)[0].astype(np.float16)
    return heard


def event_lesson(step: int, *, size: int, seed: int) -> Lesson:
    """Make a batch of sound events, in which nothing is spoken.

    Args:
        step: that it is made for.
        size: B.
        seed: of all draws.
    """
    rng = random.Random(f"{seed} events {step}")
    scenes = [ask(rng).scene for _ in range(size)]
    longest = max(len(found.samples) for found in scenes)
    hop = RATE_HZ // HZ
    num_frames = -(-longest // (hop * STEP_FRAMES)) * STEP_FRAMES
    clips = [np.pad(found.samples, (0, num_frames * hop - len(found.samples))) for found in scenes]
    batch = mel(clips).features.transpose(0, 2, 1).copy()  # (B, T, M)
    disturbed(batch, np.random.default_rng((seed, 2, step)))
    heard = [event_targets(found.events, num_mel_frames=num_frames) for found in scenes]
    onsets = np.stack([target.onsets for target in heard])
    return Lesson(
        mel=batch.transpose(0, 2, 1),
        phones=np.zeros((*onsets.shape[:2], NUM_PHONE_SLOTS), np.int64),
        words=np.zeros_like(onsets),
        begins=np.zeros_like(onsets),
        events=np.stack([target.kinds for target in heard]),
        onsets=onsets,
        pitches=np.stack([target.pitches for target in heard]),
        texts=("",) * size,
        step=step,
    )


def _moved(spans: tuple[Span, ...], by_s: float, factor: float = 1.0) -> tuple[Span, ...]:
    return tuple(
        Span(span.name, (span.start_s + by_s) * factor, (span.end_s + by_s) * factor)
        for span in spans
    )
