"""Log-mel spectrograms: what the audio encoders read.

Source: transformers 5.23 `WhisperFeatureExtractor` with padding to the longest clip and without
truncation, as `Qwen3OmniMoeProcessor` calls it.
Differs: Fourier transforms are float64 and run over pieces of a clip, so that memory stays small;
silence after a short clip is filled in, not computed; clips shorter than the reference's smallest
(half a window) are followed by silence instead of refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from myna.core.errors import InvalidRequest
from myna.media.decoded import Samples

RATE_HZ = 16_000
NUM_MELS = 128
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
MAX_HZ = 8_000.0
FLOOR = 1e-10
RANGE = 8.0  # decades kept below a clip's loudest value
BLOCK_FRAMES = 2048


@dataclass(frozen=True, kw_only=True)
class MelBatch:
    """Hold spectrograms of several clips.

    Args:
        features: (B, M, T) float32; after a clip's own frames come those of silence.
        lengths: how many frames of each clip count.
    """

    features: NDArray[np.float32]
    lengths: tuple[int, ...]


def mel(clips: Sequence[Samples], *, with_silence: bool = False) -> MelBatch:
    """Compute the log-mel spectrograms of clips at 16 kHz.

    Args:
        clips: (W,) samples of each clip.
        with_silence: let silence follow the longest clip too, as for Qwen2.5-Omni, which is padded
            to 300 s; its last frame is then not reflected at the end, and a started frame counts.
    """
    lengths = [len(clip) for clip in clips]
    if not lengths or not min(lengths):
        raise InvalidRequest("a clip holds no samples; send sound", code="bad_media")
    longest = max(*lengths, WINDOW_SAMPLES // 2 + 1)
    num_frames = math.ceil(longest / HOP_SAMPLES) if with_silence else longest // HOP_SAMPLES
    features = np.empty((len(clips), NUM_MELS, num_frames), np.float32)
    for row, clip in zip(features, clips, strict=True):
        _write(row, clip, room=None if with_silence else longest)
    valid = (min(math.ceil(length / HOP_SAMPLES), num_frames) for length in lengths)
    return MelBatch(features=features, lengths=tuple(valid))


def _write(row: NDArray[np.float32], clip: Samples, *, room: int | None) -> None:
    """Fill one clip's (M, T) spectrogram.

    Args:
        row: changed in place.
        clip: (W,) samples.
        room: how many samples the clip is padded to; without an end if `None`.
    """
    # After a window of silence all frames are silent, whatever is reflected at the end.
    padded_length = len(clip) + 2 * WINDOW_SAMPLES
    padded_length = padded_length if room is None else min(padded_length, room)
    half = WINDOW_SAMPLES // 2
    waveform = np.pad(clip, (0, padded_length - len(clip)))
    windows = sliding_window_view(np.pad(waveform, half, mode="reflect"), WINDOW_SAMPLES)
    windows = windows[::HOP_SAMPLES][: row.shape[1]]  # (T, window)
    num_frames = len(windows) if padded_length == room else min(len(windows), row.shape[1])
    for start in range(0, num_frames, BLOCK_FRAMES):
        block = windows[start : start + BLOCK_FRAMES]
        spectrum = np.fft.rfft(block * hann_window(), axis=-1)  # (T, 201)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        energy = mel_filters().T @ power.T  # (M, T)
        row[:, start : start + len(block)] = np.log10(np.maximum(energy, FLOOR))
    row[:, num_frames:] = math.log10(FLOOR)
    np.maximum(row, row.max() - RANGE, out=row)
    row += 4.0
    row /= 4.0


@cache
def hann_window() -> NDArray[np.float64]:
    """Give the periodic Hann window."""
    return np.hanning(WINDOW_SAMPLES + 1)[:-1]


@cache
def mel_filters() -> NDArray[np.float32]:
    """Give (201, M) triangles of equal area on Slaney's mel scale."""
    num_bins = WINDOW_SAMPLES // 2 + 1
    bins_hz = np.linspace(0.0, RATE_HZ / 2, num_bins)
    edges_hz = _to_hz(np.linspace(0.0, float(_to_mel(MAX_HZ)), NUM_MELS + 2))
    rising = (bins_hz[:, None] - edges_hz[None, :-2]) / np.diff(edges_hz)[None, :-1]
    falling = (edges_hz[None, 2:] - bins_hz[:, None]) / np.diff(edges_hz)[None, 1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges_hz[2:] - edges_hz[:-2]))).astype(np.float32)


# Slaney's scale (Auditory Toolbox, 1998): linear up to 1 kHz, then 27 mels for a factor of 6.4.
LINEAR_HZ = 1000.0
MELS_PER_HZ = 3.0 / 200.0
MELS_PER_LOG = 27.0 / math.log(6.4)


def _to_mel(hz: float) -> float:
    if hz < LINEAR_HZ:
        return hz * MELS_PER_HZ
    return LINEAR_HZ * MELS_PER_HZ + math.log(hz / LINEAR_HZ) * MELS_PER_LOG


def _to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    knee = LINEAR_HZ * MELS_PER_HZ
    return np.where(
        mels < knee, mels / MELS_PER_HZ, LINEAR_HZ * np.exp((mels - knee) / MELS_PER_LOG)
    )
