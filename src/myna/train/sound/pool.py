"""Spoken sentences on disk: mel frames exactly as the audio encoder gets them, and all times.

A pool is a folder of shards; a shard is a folder of arrays that was written whole or not at all.
"""

from __future__ import annotations

import json
import shutil
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myna.media.mel import mel
from myna.train import workshop
from myna.train.examples import Samples
from myna.train.sound.utterance import Span, Utterance

Array = NDArray[Any]  # of several dtypes, memory-mapped
SPAN = np.dtype([("name", np.int32), ("start_s", np.float32), ("end_s", np.float32)])


@dataclass(frozen=True)
class Entry:
    """Hold one sentence of a pool.

    Attributes:
        text: what was said.
        voice: who said it.
        mel: (T, M) float16.
        words: in order.
        phones: in order, without gaps.
    """

    text: str
    voice: str
    mel: NDArray[np.float16]
    words: tuple[Span, ...]
    phones: tuple[Span, ...]


class Shard:
    """Read one folder of arrays."""

    def __init__(self, folder: Path) -> None:
        lines = (folder / "lines.jsonl").read_text().splitlines()
        self.lines = [json.loads(line) for line in lines]
        self.names: list[str] = json.loads((folder / "names.json").read_text())
        self.mel: Array = np.load(folder / "mel.npy", mmap_mode="r")
        self.spans: Array = np.load(folder / "spans.npy", mmap_mode="r")
        self.edges: Array = np.load(folder / "edges.npy")  # (entries + 1, 3)

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, i: int) -> Entry:
        (mel_at, word_at, phone_at), ends = self.edges[i, :3], self.edges[i + 1]
        return Entry(
            text=self.lines[i]["text"],
            voice=self.lines[i]["voice"],
            mel=self.mel[mel_at : ends[0]],
            words=self._spans(word_at, phone_at),
            phones=self._spans(phone_at, ends[1]),
        )

    def speech(self) -> NDArray[np.float32]:
        """Give when the first word of each entry begins and the last one ends: (entries, 2)."""
        starts = self.spans["start_s"][self.edges[:-1, 1]]
        ends = self.spans["end_s"][self.edges[:-1, 2] - 1]
        return np.stack((starts, ends), axis=1)

    def _spans(self, start: int, end: int) -> tuple[Span, ...]:
        rows = self.spans[start:end]
        return tuple(Span(self.names[name], float(a), float(b)) for name, a, b in rows.tolist())


class Pool:
    """Read all shards of a pool as one sequence."""

    def __init__(self, folder: Path) -> None:
        self.shards = [Shard(path) for path in sorted(folder.iterdir()) if path.suffix == ".shard"]
        if not self.shards:
            raise FileNotFoundError(f"{folder} holds no sentences; run the stage 'voices' first.")
        self.starts = np.cumsum([0, *(len(shard) for shard in self.shards)]).tolist()
        counts = [np.diff(shard.edges[:, 0]) for shard in self.shards]
        self.lengths: NDArray[np.int64] = np.concatenate(counts)  # mel frames of each entry
        speech = [shard.speech() for shard in self.shards]
        self.speech: NDArray[np.float32] = np.concatenate(speech)  # (entries, 2)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, i: int) -> Entry:
        if not 0 <= i < len(self):
            raise IndexError(f"entry {i} was asked for; the pool holds {len(self)}")
        shard = bisect_right(self.starts, i) - 1
        return self.shards[shard][i - self.starts[shard]]

    @property
    def hours(self) -> float:
        """Give the length of all sound."""
        return float(self.lengths.sum()) / 100 / 3600


def folder(name: str) -> Path:
    """Give the folder of a pool."""
    return workshop.folder(f"pool/{name}")


def open_pool(name: str) -> Pool:
    """Open a pool of the workshop.

    Raises:
        FileNotFoundError: it was not made yet.
    """
    return Pool(folder(name))


def write_shard(folder: Path, name: str, utterances: Iterable[Utterance]) -> None:
    """Write utterances as one shard; an older one of that name is replaced.

    Args:
        folder: of the pool.
        name: of the shard.
        utterances: are taken one by one.
    """
    mels: list[NDArray[np.float16]] = []
    spans: list[tuple[int, float, float]] = []
    lines: list[str] = []
    names: dict[str, int] = {}
    edges = [(0, 0, 0)]
    num_frames = 0
    for said in utterances:
        mels.append(frames_of(said.samples))
        num_frames += len(mels[-1])
        word_at = len(spans)
        for span in (*said.words, *said.phones):
            spans.append((names.setdefault(span.name, len(names)), span.start_s, span.end_s))
        edges[-1] = (edges[-1][0], word_at, word_at + len(said.words))
        edges.append((num_frames, len(spans), len(spans)))
        lines.append(json.dumps({"text": said.text, "voice": said.voice}))
    part = folder / f"{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    np.save(part / "mel.npy", np.concatenate(mels))
    np.save(part / "spans.npy", np.array(spans, SPAN))
    np.save(part / "edges.npy", np.array(edges, np.int64))
    (part / "names.json").write_text(json.dumps(list(names)))
    (part / "lines.jsonl").write_text("".join(f"{line}\n" for line in lines))
    whole = folder / f"{name}.shard"
    shutil.rmtree(whole, ignore_errors=True)
    part.rename(whole)


def frames_of(samples: Samples) -> NDArray[np.float16]:
    """Make the (T, M) mel frames of a sound."""
    found = mel([samples])
    return found.features[0, :, : found.lengths[0]].T.astype(np.float16)
