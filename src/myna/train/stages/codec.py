"""Stage: the codec learns, first without and then with its codebooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from myna.train.loop import Losses, Schedule, Trainer
from myna.train.shapes import FRAME_SAMPLES, NUM_CODEBOOKS
from myna.train.voice.codec import Codec, draw_depths, num_used
from myna.train.voice.shards import Cuts, Shard, read, shard_folders
from myna.train.voice.spectral import log_mel
from myna.train.workshop import folder

PLAIN = Schedule(steps=500, rate=1.5e-3, warmup=50, save_every_s=60)
CODED = Schedule(steps=800, rate=1.2e-3, warmup=50, save_every_s=60)
BATCH = 32
CUT_FRAMES = 24
KMEANS_BATCHES = 24
SEED = 21
WEIGHTS = "codec.safetensors"


def run(*, minutes: float | None, report: Callable[[str], None]) -> None:
    """Train the codec, and name the frames of all speech; the speech must have been made."""
    shards = [read(path) for path in shard_folders(folder("speech"))]
    if (folder("codec") / WEIGHTS).exists() or learn(shards, minutes=minutes, report=report):
        codec = trained_codec()
        report(measured(codec, phoneme_cuts(shards[:1])))
        write_codes(codec, report)


def learn(shards: Sequence[Shard], *, minutes: float | None, report: Callable[[str], None]) -> bool:
    """Train the codec; tells whether it is done."""
    torch.manual_seed(SEED)
    cuts = phoneme_cuts(shards[1:])  # the first is kept for measuring
    codec = Codec(is_quantised=False)
    train(codec, "codec-plain", cuts, PLAIN, report)
    codec.is_quantised = True
    # The codebooks are no parameters, so each sitting begins by placing them anew.
    with torch.no_grad():
        vectors = [codec.encode(log_mel(batch(cuts, step)[0])) for step in range(KMEANS_BATCHES)]
        codec.quantiser.begin(torch.cat(vectors).flatten(0, 1), seed=SEED)
    if train(codec, "codec", cuts, replace(CODED, minutes=minutes), report) < CODED.steps:
        return False
    save_file(codec.state_dict(), folder("codec") / WEIGHTS)
    return True


def phoneme_cuts(shards: Sequence[Shard]) -> Cuts:
    """Draw stretches with their phonemes."""
    return Cuts(shards, [shard.phonemes for shard in shards], CUT_FRAMES)


def train(
    codec: Codec, name: str, cuts: Cuts, schedule: Schedule, report: Callable[[str], None]
) -> int:
    """Train from where the named stage stands; gives the steps that are done in all."""
    trainer = Trainer(codec, folder(name), schedule, dtype=torch.float32, report=report)

    def losses_at(step: int) -> Losses:
        waves, phonemes = batch(cuts, step)
        depths = draw_depths(BATCH, torch.Generator().manual_seed(step))
        return codec.losses(waves, phonemes, depths)

    trainer.run(losses_at)
    return trainer.step


def batch(cuts: Cuts, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the waves and phonemes of a step."""
    waves, phonemes = cuts.draw(BATCH, np.random.default_rng((SEED, step)))
    return torch.from_numpy(waves), torch.from_numpy(phonemes)


@torch.no_grad()
def measured(codec: Codec, cuts: Cuts) -> str:
    """Tell how far off the mel frames are, in nats, by the number of codebooks that count."""
    waves, phonemes = batch(cuts, -1 & 0xFFFF)
    parts = []
    for depth in (1, 2, 4, 8):
        losses = codec.losses(waves, phonemes, torch.full((BATCH,), depth))
        parts.append(f"{depth}: {float(losses['mel']):.3f}")
    codes = codec.codes(waves)
    told = float(losses["phonemes"])
    return f"mel {'  '.join(parts)}  phonemes {told:.3f}  entries used {num_used(codes)}"


def trained_codec() -> Codec:
    """Give the codec as its stage left it.

    Raises:
        FileNotFoundError: the stage has not run.
    """
    path = folder("codec") / WEIGHTS
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; run the stage 'codec' first.")
    codec = Codec()
    codec.load_state_dict(load_file(path))
    return codec.requires_grad_(False).eval()


@torch.no_grad()
def write_codes(codec: Codec, report: Callable[[str], None]) -> None:
    """Name the frames of every shard that has no codes yet."""
    for path in shard_folders(folder("speech")):
        target = folder("codes") / f"{path.name}.npy"
        if target.exists():
            continue
        np.save(target, codes_of(codec, read(path)))
        report(f"codes of shard {path.name}")


def codes_of(codec: Codec, shard: Shard) -> NDArray[np.uint8]:
    """Name the frames of a shard: (frames, Q). Silence that fills a batch up changes nothing."""
    found = np.zeros((shard.num_frames, NUM_CODEBOOKS), np.uint8)
    by_length = np.argsort(np.diff(shard.starts), kind="stable").tolist()
    for start in range(0, len(by_length), BATCH):
        spans = [shard.span(i) for i in by_length[start : start + BATCH]]
        longest = spans[-1][1] - spans[-1][0]
        waves = np.zeros((len(spans), longest * FRAME_SAMPLES), np.float32)
        for row, (begin, end) in zip(waves, spans, strict=True):
            row[: (end - begin) * FRAME_SAMPLES] = shard.wave(begin, end)
        for codes, (begin, end) in zip(codec.codes(torch.from_numpy(waves)), spans, strict=True):
            found[begin:end] = codes[:, : end - begin].T.numpy()
    return found


def coded_shards() -> tuple[list[Shard], list[NDArray[np.uint8]]]:
    """Give the shards that have codes, and (frames, Q) codes of each.

    Raises:
        FileNotFoundError: there are none.
    """
    shards, codes = [], []
    for path in shard_folders(folder("speech")):
        target = folder("codes") / f"{path.name}.npy"
        if target.exists():
            shards.append(read(path))
            codes.append(np.load(target, mmap_mode="r"))
    if not shards:
        raise FileNotFoundError("no speech has codes yet; run the stage 'codec' first.")
    return shards, codes
