"""Utterances on disk: each shard is a folder of memory-mapped arrays, made once and never changed.

Not here: who speaks (teacher), what is said (text).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myna.train.shapes import FRAME_SAMPLES
from myna.train.voice.teacher import RATE_HZ, SLOT_SAMPLES, Speech

SLOTS = FRAME_SAMPLES // SLOT_SAMPLES  # of phonemes, in a frame of codes
PEAK = 32_767


@dataclass(frozen=True, eq=False)
class Shard:
    """Hold n utterances, each padded to whole frames.

    Attributes:
        texts: of each.
        starts: (n+1,) int64, in frames.
        samples: (frames * FRAME_SAMPLES,) int16.
        phonemes: (frames, SLOTS) uint8.
    """

    texts: Sequence[str]
    starts: NDArray[np.int64]
    samples: NDArray[np.int16]
    phonemes: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def num_frames(self) -> int:
        """Count the frames of all."""
        return len(self.phonemes)

    @property
    def hours(self) -> float:
        """Give how long it lasts."""
        return len(self.samples) / RATE_HZ / 3600

    def span(self, index: int) -> tuple[int, int]:
        """Give the frames of an utterance, from and up to."""
        return int(self.starts[index]), int(self.starts[index + 1])

    def wave(self, start: int, stop: int) -> NDArray[np.float32]:
        """Give the samples of frames, in [-1, 1]."""
        cut = self.samples[start * FRAME_SAMPLES : stop * FRAME_SAMPLES]
        return cut.astype(np.float32) / np.float32(PEAK)


def write(folder: Path, said: Iterable[tuple[str, Speech]]) -> None:
    """Write a shard; the folder appears when it is whole."""
    texts, lengths, waves, phonemes = [], [0], [], []
    for text, speech in said:
        num_frames = -(-len(speech.phonemes) // SLOTS)
        missing = num_frames * SLOTS - len(speech.phonemes)
        wave = np.pad(speech.samples, (0, missing * SLOT_SAMPLES))
        texts.append(text)
        lengths.append(num_frames)
        waves.append((wave.clip(-1, 1) * PEAK).round().astype(np.int16))
        phonemes.append(np.pad(speech.phonemes, (0, missing)).reshape(num_frames, SLOTS))
    part = folder.with_name(f"{folder.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    np.save(part / "starts.npy", np.cumsum(lengths, dtype=np.int64))
    np.save(part / "samples.npy", np.concatenate(waves))
    np.save(part / "phonemes.npy", np.concatenate(phonemes))
    (part / "texts.json").write_text(json.dumps(texts))
    part.rename(folder)


def read(folder: Path) -> Shard:
    """Map a shard into memory."""
    return Shard(
        texts=json.loads((folder / "texts.json").read_text()),
        starts=np.load(folder / "starts.npy"),
        samples=np.load(folder / "samples.npy", mmap_mode="r"),
        phonemes=np.load(folder / "phonemes.npy", mmap_mode="r"),
    )


def shard_folders(folder: Path) -> list[Path]:
    """List the shards of a folder, in order.

    Raises:
        FileNotFoundError: there are none.
    """
    found = sorted(path for path in folder.iterdir() if path.is_dir() and path.suffix != ".part")
    if not found:
        raise FileNotFoundError(f"{folder} holds no speech; run the stage 'speech_data' first.")
    return found


@dataclass(frozen=True, eq=False)
class Cuts:
    """Draw stretches of speech from shards; a draw depends on its generator alone.

    Attributes:
        shards: that are drawn from, each as often as it is long.
        labels: (frames, ...) of each, such as its phonemes.
        num_frames: of a stretch.
    """

    shards: Sequence[Shard]
    labels: Sequence[NDArray[np.uint8]]
    num_frames: int

    def draw(
        self, size: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Give waves (B, T*FRAME_SAMPLES) and labels (B, T, ...); utterances may adjoin."""
        ends = np.cumsum([shard.num_frames for shard in self.shards])
        waves, labels = [], []
        for place in rng.integers(ends[-1], size=size):
            index = int(np.searchsorted(ends, place, side="right"))
            shard = self.shards[index]
            start = int(rng.integers(shard.num_frames - self.num_frames))
            stop = start + self.num_frames
            waves.append(shard.wave(start, stop))
            labels.append(self.labels[index][start:stop].astype(np.int64))
        return np.stack(waves), np.stack(labels)
