"""Spectrograms of 24 kHz sound, as the codec reads them and as losses compare them.

Not here: what the thinker's ears read (media.mel).
Source: arXiv:1910.11480 (multi-resolution STFT loss).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from myna.train.voice.teacher import RATE_HZ

NUM_MELS = 80
MAX_HZ = 12_000.0
MEL_WINDOW = 1_024
MEL_HOP = 240  # 100 mel frames a second
FLOOR = 1e-4  # of a mel band's amplitude
WINDOWS = (2_048, 1_024, 512, 256, 128)  # of the multi-resolution loss, hop a quarter
AMPLITUDE_FLOOR = 1e-5


def spectrogram(samples: Tensor, *, window: int, hop: int) -> Tensor:
    """Give amplitudes: (B, W) -> (B, window/2+1, W/hop+1)."""
    found = torch.stft(
        *(samples, window, hop),
        window=hann(window),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    # The square root of a sum has no gradient at zero, so it is kept off it.
    squares = torch.view_as_real(found).square().sum(-1)
    return squares.clamp_min(AMPLITUDE_FLOOR**2).sqrt()


def log_mel(samples: Tensor) -> Tensor:
    """Give natural logarithms of mel amplitudes: (B, W) -> (B, W/MEL_HOP, NUM_MELS)."""
    amplitudes = spectrogram(samples, window=MEL_WINDOW, hop=MEL_HOP)[..., :-1]
    return (filters() @ amplitudes).clamp_min(FLOOR).log().transpose(1, 2)


def distance(made: Tensor, wanted: Tensor) -> Tensor:
    """Compare spectrograms at several resolutions: spectral convergence and log amplitudes.

    Args:
        made: (B, W) samples.
        wanted: (B, W) samples.
    """
    total = made.new_zeros(())
    for window in WINDOWS:
        ours = spectrogram(made, window=window, hop=window // 4)
        theirs = spectrogram(wanted, window=window, hop=window // 4)
        convergence = (ours - theirs).norm() / theirs.norm().clamp_min(FLOOR)
        total = total + convergence + (ours.log() - theirs.log()).abs().mean()
    return total / len(WINDOWS)


@cache
def hann(size: int) -> Tensor:
    """Give the periodic Hann window."""
    return torch.hann_window(size)


@cache
def filters() -> Tensor:
    """Give (NUM_MELS, MEL_WINDOW/2+1) triangles of equal area, evenly spaced in mel."""
    top = 2_595.0 * torch.log10(torch.tensor(1 + MAX_HZ / 700.0))
    edges = 700.0 * (10 ** (torch.linspace(0, float(top), NUM_MELS + 2) / 2_595.0) - 1)
    bins = torch.linspace(0, RATE_HZ / 2, MEL_WINDOW // 2 + 1)
    rising = (bins - edges[:-2, None]) / edges.diff()[:-1, None]
    falling = (edges[2:, None] - bins) / edges.diff()[1:, None]
    areas = (edges[2:] - edges[:-2])[:, None] / 2
    return torch.minimum(rising, falling).clamp_min(0) / areas
