"""Cut a long sound where nobody speaks, so that each piece can be heard by itself.

The loudness alone decides, so music or noise may be taken for speech. Not here: turns of a
conversation (turns), when each word was said (align).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myna.media.decoded import Samples

FRAME_S = 0.02
MIN_PAUSE_S = 0.3
MIN_PIECE_S = 2.0
MAX_PIECE_S = 25.0
MARGIN_S = 0.15  # beginnings and ends of words are soft
# Speech lies this far above the background, and is never softer than the last.
ABOVE_BACKGROUND = 3.0
MIN_RMS = 1e-3
BELOW_PEAK = 0.03


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Say where a piece of a sound lies, in seconds from its start."""

    start_s: float
    end_s: float


def pieces_of(samples: Samples, *, rate_hz: int) -> tuple[Piece, ...]:
    """Find the pieces of a sound that hold something; silence around them is left out.

    Args:
        samples: (W,) between -1 and 1.
        rate_hz: samples a second.

    Returns:
        Pieces in order, that do not overlap; none is longer than `MAX_PIECE_S`.
    """
    levels = _levels(samples, frame=round(rate_hz * FRAME_S))
    runs = _joined([cut for run in _loud_runs(levels) for cut in _cut(run, levels)])
    margin, num_frames = round(MARGIN_S / FRAME_S), len(levels)
    pieces = []
    for idx, (start, end) in enumerate(runs):
        before = (start - runs[idx - 1][1]) // 2 if idx else margin
        after = (runs[idx + 1][0] - end + 1) // 2 if idx + 1 < len(runs) else margin
        first = max(start - min(margin, before), 0)
        last = min(end + min(margin, after), num_frames)
        end_s = min(last * FRAME_S, len(samples) / rate_hz)
        pieces.append(Piece(start_s=round(first * FRAME_S, 3), end_s=round(end_s, 3)))
    return tuple(pieces)


def _levels(samples: Samples, *, frame: int) -> NDArray[np.float32]:
    """Measure the loudness of each frame; the last one may be short."""
    num_frames = -(-len(samples) // frame)
    padded = np.zeros(num_frames * frame, np.float32)
    padded[: len(samples)] = samples
    levels: NDArray[np.float32] = np.sqrt(np.square(padded.reshape(num_frames, frame)).mean(axis=1))
    return levels


def _loud_runs(levels: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Find stretches of frames with sound, across gaps that are shorter than a pause."""
    if not levels.size:
        return []
    background, peak = np.quantile(levels, [0.1, 0.95])
    # A sound without any silence has no background to rise above.
    floor = max(MIN_RMS, min(float(background) * ABOVE_BACKGROUND, float(peak) / 4))
    loud = np.flatnonzero(levels > max(floor, float(peak) * BELOW_PEAK))
    if not loud.size:
        return []
    gaps = np.flatnonzero(np.diff(loud) > round(MIN_PAUSE_S / FRAME_S))
    starts = [int(loud[0]), *(int(loud[gap + 1]) for gap in gaps)]
    ends = [*(int(loud[gap]) + 1 for gap in gaps), int(loud[-1]) + 1]
    return list(zip(starts, ends, strict=True))


def _cut(run: tuple[int, int], levels: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Cut a run that is too long at its quietest moments."""
    start, end = run
    longest = round((MAX_PIECE_S - 2 * MARGIN_S) / FRAME_S)
    if end - start <= longest:
        return [run]
    middle = start + longest // 2
    at = middle + int(np.argmin(levels[middle : start + longest]))
    return [(start, at), *_cut((at, end), levels)]


def _joined(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join runs that are too short to be understood by themselves with what follows."""
    shortest, longest = round(MIN_PIECE_S / FRAME_S), round((MAX_PIECE_S - 2 * MARGIN_S) / FRAME_S)
    joined: list[tuple[int, int]] = []
    for start, end in runs:
        if joined and joined[-1][1] - joined[-1][0] < shortest and end - joined[-1][0] <= longest:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
