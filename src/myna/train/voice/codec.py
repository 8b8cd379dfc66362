"""The codec that gives nano's codes their meaning: a mel autoencoder with residual quantisation.

It exists for training alone: the talker learns to choose its codes, code2wav to turn them into
sound. The first codebook is made to tell phonemes, so that it carries what is said; the others
refine how it sounds. No frame's codes know of later frames: else a talker learns to read what
follows off the codes so far, where it should read the text.

Source: arXiv:2107.03312 (residual vector quantisation, dropout of codebooks), arXiv:2410.00037 §3.3
(a first codebook that carries the content), arXiv:2201.03545 (ConvNeXt blocks).

Axis letters beside the project's: Z the width of what is quantised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.train.shapes import CODEBOOK_SIZE, FRAME_SAMPLES, NUM_CODEBOOKS
from myna.train.voice.shards import SLOTS
from myna.train.voice.spectral import MEL_HOP, NUM_MELS, log_mel

MELS_PER_FRAME = FRAME_SAMPLES // MEL_HOP
NUM_PHONEMES = 256  # the teacher's numbers fit in a byte
WIDTH = 256
CODE_WIDTH = 64
NUM_BLOCKS = 4
BLOCK_REACH = 5
MEAN, SPREAD = -5.0, 2.5  # of log mel amplitudes, about
KMEANS_ROUNDS = 12
MEMORY = 0.99  # of entries, a step
RARE = 0.05  # vectors a step that choose an entry; one with fewer is placed anew
MISFIT_SHARE = 0.1
PHONEME_SHARE = 0.05


class Block(nn.Module):
    """Mix each channel over time, then all channels of a step.

    Args:
        is_causal: no step sees those after it.
    """

    def __init__(self, *, is_causal: bool) -> None:
        super().__init__()
        reach = BLOCK_REACH - 1
        self.pads = (reach, 0) if is_causal else (reach // 2, reach // 2)
        self.over_time = nn.Conv1d(WIDTH, WIDTH, BLOCK_REACH, groups=WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)
        self.scale = nn.Parameter(torch.full((WIDTH,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        padded = functional.pad(x.transpose(1, 2), self.pads)
        steps = self.norm(self.over_time(padded).transpose(1, 2))
        out: Tensor = x + self.scale * self.narrow(functional.gelu(self.widen(steps)))
        return out


@dataclass(frozen=True)
class Quantised:
    """Hold what became of (B, T, Z) vectors.

    Attributes:
        codes: (B, Q, T) int64.
        vectors: (B, T, Z), the sum of the chosen entries; gradients pass straight through.
        first: (B, T, Z), the first codebook's part alone, likewise.
        misfit: what the encoder could spare them.
    """

    codes: Tensor
    vectors: Tensor
    first: Tensor
    misfit: Tensor


class Quantiser(nn.Module):
    """Let each codebook name what the ones before it left.

    While training, entries follow the means of the vectors that choose them; one that hardly any
    chooses is placed anew. Source: arXiv:1711.00937 appendix A.1, arXiv:2107.03312 §III-C.

    Attributes:
        entries: (Q, V, Z).
        counts: (Q, V), how many vectors chose each of late.
        sums: (Q, V, Z), of those vectors.
    """

    entries: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self) -> None:
        super().__init__()
        shape = (NUM_CODEBOOKS, CODEBOOK_SIZE, CODE_WIDTH)
        self.register_buffer("entries", torch.zeros(shape))
        self.register_buffer("counts", torch.ones(shape[:2]))
        self.register_buffer("sums", torch.zeros(shape))

    def forward(self, z: Tensor, depths: Tensor | None = None) -> Quantised:
        """Quantise (B, T, Z) vectors.

        Args:
            z: float32.
            depths: (B,) int64, how many codebooks count for each row; None for all.
        """
        left, total = z.detach(), torch.zeros_like(z)
        codes, first = [], z
        for book, entries in enumerate(self.entries):
            code = nearest(left.flatten(0, 1), entries).view(left.shape[:2])
            chosen = functional.embedding(code, entries)  # (B, T, Z)
            if self.training:
                self._follow(book, left.flatten(0, 1), code.flatten())
            left = left - chosen
            counted = chosen if depths is None else chosen * (book < depths)[:, None, None]
            total = total + counted
            codes.append(code)
            if book == 0:
                first = z + (chosen - z).detach()
        misfit = (z - total).square().mean()
        return Quantised(torch.stack(codes, 1), z + (total - z).detach(), first, misfit)

    @torch.no_grad()
    def _follow(self, book: int, vectors: Tensor, code: Tensor) -> None:
        """Move the entries of a codebook towards the (n, Z) vectors that chose them."""
        entries, counts, sums = self.entries[book], self.counts[book], self.sums[book]
        counts.lerp_(code.bincount(minlength=CODEBOOK_SIZE).float(), 1 - MEMORY)
        sums.lerp_(torch.zeros_like(sums).index_add_(0, code, vectors), 1 - MEMORY)
        unused = counts < RARE
        drawn = vectors[torch.randint(len(vectors), (int(unused.sum()),))]
        counts[unused], sums[unused] = 1.0, drawn
        entries.copy_(sums / counts[:, None])

    @torch.no_grad()
    def begin(self, z: Tensor, *, seed: int) -> None:
        """Place the entries by k-means, codebook by codebook, on (n, Z) vectors."""
        generator = torch.Generator().manual_seed(seed)
        left = z
        for entries in self.entries:
            entries.copy_(left[torch.randperm(len(left), generator=generator)[: len(entries)]])
            for _ in range(KMEANS_ROUNDS):
                code = nearest(left, entries)
                counts = code.bincount(minlength=len(entries))[:, None]
                sums = torch.zeros_like(entries).index_add_(0, code, left)
                drawn = left[torch.randint(len(left), (len(entries),), generator=generator)]
                entries.copy_(torch.where(counts > 0, sums / counts.clamp_min(1), drawn))
            left = left - entries[nearest(left, entries)]
        self.counts.fill_(1.0)
        self.sums.copy_(self.entries)


def nearest(vectors: Tensor, entries: Tensor) -> Tensor:
    """Find the nearest entry of each vector: (n, Z), (V, Z) -> (n,) int64."""
    return (entries.square().sum(-1) - 2 * vectors @ entries.T).argmin(-1)


class Codec(nn.Module):
    """Turn mel frames into codes and back.

    Attributes:
        phonemes: tells them from the first codebook's entry.
        is_quantised: False while the autoencoder is trained alone.
    """

    def __init__(self, *, is_quantised: bool = True) -> None:
        super().__init__()
        self.enter = nn.Linear(MELS_PER_FRAME * NUM_MELS, WIDTH)
        self.encoder = nn.Sequential(*(Block(is_causal=True) for _ in range(NUM_BLOCKS)))
        self.to_code = nn.Linear(WIDTH, CODE_WIDTH)
        self.quantiser = Quantiser()
        self.from_code = nn.Linear(CODE_WIDTH, WIDTH)
        self.decoder = nn.Sequential(*(Block(is_causal=False) for _ in range(NUM_BLOCKS)))
        self.leave = nn.Linear(WIDTH, MELS_PER_FRAME * NUM_MELS)
        self.phonemes = nn.Linear(CODE_WIDTH, SLOTS * NUM_PHONEMES)
        self.is_quantised = is_quantised

    def encode(self, mels: Tensor) -> Tensor:
        """Make the vectors of frames: (B, T*MELS_PER_FRAME, M) -> (B, T, Z) float32."""
        num_frames = mels.shape[1] // MELS_PER_FRAME
        frames = ((mels - MEAN) / SPREAD).reshape(len(mels), num_frames, -1)
        with torch.autocast("cpu", torch.bfloat16):
            out = self.to_code(self.encoder(self.enter(frames)))
        # All vectors have one size: else they grow faster than the codebooks can follow.
        return functional.layer_norm(out.float(), (CODE_WIDTH,))

    def decode(self, vectors: Tensor) -> Tensor:
        """Make mel frames: (B, T, Z) -> (B, T*MELS_PER_FRAME, M) float32."""
        with torch.autocast("cpu", torch.bfloat16):
            frames: Tensor = self.leave(self.decoder(self.from_code(vectors)))
        return frames.float().reshape(len(frames), -1, NUM_MELS) * SPREAD + MEAN

    def codes(self, waves: Tensor) -> Tensor:
        """Name the frames of sound: (B, T*FRAME_SAMPLES) -> (B, Q, T) int64."""
        found: Tensor = self.quantiser(self.encode(log_mel(waves))).codes
        return found

    def losses(self, waves: Tensor, phonemes: Tensor, depths: Tensor) -> dict[str, Tensor]:
        """Compare what comes out with what went in.

        Args:
            waves: (B, T*FRAME_SAMPLES).
            phonemes: (B, T, SLOTS) int64.
            depths: (B,) codebooks that count.

        Returns:
            "loss", and its parts: "mel" in nats, "phonemes" in nats, "misfit".
        """
        mels = log_mel(waves)
        z = self.encode(mels)
        vectors = first = z
        misfit = z.new_zeros(())
        if self.is_quantised:
            found = self.quantiser(z, depths)
            vectors, first, misfit = found.vectors, found.first, found.misfit
        error = (self.decode(vectors) - mels) / SPREAD
        scores = self.phonemes(first).unflatten(-1, (SLOTS, -1))
        told = functional.cross_entropy(scores.flatten(0, -2), phonemes.flatten())
        mel = error.abs().mean()
        loss = mel + 0.05 * error.square().mean() + PHONEME_SHARE * told + MISFIT_SHARE * misfit
        return {"loss": loss, "mel": mel * SPREAD, "phonemes": told, "misfit": misfit}


def draw_depths(size: int, generator: torch.Generator) -> Tensor:
    """Let all codebooks count for half of the rows, for the others so many by chance: (B,)."""
    some = torch.randint(1, NUM_CODEBOOKS + 1, (size,), generator=generator)
    all_count = torch.rand(size, generator=generator) < 0.5
    return torch.where(all_count, NUM_CODEBOOKS, some)


def num_used(codes: Tensor) -> Sequence[int]:
    """Count the entries of each codebook that (B, Q, T) codes use."""
    return [len(book.unique()) for book in codes.transpose(0, 1)]
