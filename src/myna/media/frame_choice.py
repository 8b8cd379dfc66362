"""Which frames of a video are watched.

Source: qwen-omni-utils 0.0.9 `smart_nframes` and its readers: an even number of frames, spread from
the first to the last, both included.
Differs: where the time between frames varies, frames are chosen by time, not by number; a video of
one frame is that frame twice, where the reference refuses it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from myna.core.errors import InvalidRequest

PAIR = 2  # frames that make one step of the encoder's time axis
# A frame may be this far off the beat, in frames, before a video counts as uneven.
MAX_JITTER_FRAMES = 0.5


class ClipOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Say how a video is to be watched.

    `num_frames` takes the place of `fps`. `factor` is the side of a token in pixels; `max_px`
    bounds a frame, `clip_px` all of them. Times count from the start of the file.
    """

    factor: int
    fps: float = 2.0
    num_frames: int | None = None
    min_frames: int = 4
    max_frames: int = 768
    max_px: int | None = None
    clip_px: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    with_sound: bool = False


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Hold when the frames of a video are shown.

    Args:
        times_s: (T,) float64, ascending, from 0.
        fps: frames a second, on average.
        is_even: all frames last equally long.
        origin_s: when the file says that the first frame is shown.
    """

    times_s: NDArray[np.float64]
    fps: float
    is_even: bool
    origin_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Hold the numbers of the chosen frames, how long the stretch is, and their rate."""

    indices: tuple[int, ...]
    duration_s: float
    sample_fps: float


def make_timeline(times_s: NDArray[np.float64], *, stated_fps: float | None) -> Timeline:
    """Judge whether frames come evenly; the rate that the file states is believed if it fits."""
    origin_s = float(times_s.min())
    times_s = np.sort(times_s) - origin_s
    num_frames, length_s = len(times_s), float(times_s[-1])
    measured_fps = (num_frames - 1) / length_s if length_s > 0 else None
    for fps in (stated_fps, measured_fps):
        if fps is not None and fps > 0:
            beats = times_s * fps - np.arange(num_frames)
            if np.abs(beats).max() <= MAX_JITTER_FRAMES:
                return Timeline(times_s=times_s, fps=fps, is_even=True, origin_s=origin_s)
    # The last frame is taken to last as long as the others do on average.
    return Timeline(times_s=times_s, fps=measured_fps or 1.0, is_even=False, origin_s=origin_s)


def choose_frames(timeline: Timeline, options: ClipOptions) -> Choice:
    """Choose frames from the stretch between the start and the end that the options name."""
    first, last = _stretch(timeline, options)
    num_frames = last - first + 1
    if timeline.is_even:
        duration_s = num_frames / timeline.fps
    else:
        duration_s = float(timeline.times_s[last] - timeline.times_s[first]) + 1 / timeline.fps
    num_chosen = _num_chosen(num_frames, duration_s, options)
    if timeline.is_even:
        numbers = np.round(np.linspace(first, last, num_chosen)).astype(int)  # half to even
    else:
        wanted_s = np.linspace(timeline.times_s[first], timeline.times_s[last], num_chosen)
        numbers = np.searchsorted(timeline.times_s, wanted_s, side="right") - 1
        numbers = numbers.clip(first, last)
    return Choice(
        indices=tuple(int(number) for number in numbers),
        duration_s=duration_s,
        sample_fps=num_chosen / duration_s,
    )


def _stretch(timeline: Timeline, options: ClipOptions) -> tuple[int, int]:
    """Find the first and the last frame between the two times, both included."""
    last = len(timeline.times_s) - 1
    start_s, end_s = options.start_s or 0.0, options.end_s
    if timeline.is_even:
        begin = math.ceil(start_s * timeline.fps)
        end = last if end_s is None else min(math.floor(end_s * timeline.fps), last)
    else:
        begin = int(np.searchsorted(timeline.times_s, start_s, side="left"))
        end = last
        if end_s is not None:
            end = int(np.searchsorted(timeline.times_s, end_s, side="right")) - 1
    if not 0 <= begin <= end:
        asked = f"from {start_s:g} s to " + ("its end" if end_s is None else f"{end_s:g} s")
        raise InvalidRequest(
            f"the video is asked for {asked}, but it lasts {timeline.times_s[-1]:.2f} s and has no "
            "frame there; name a later end or an earlier start"
        )
    return begin, end


def _num_chosen(num_frames: int, duration_s: float, options: ClipOptions) -> int:
    """Count the frames to choose: an even number."""
    if options.num_frames is not None:
        num_chosen = round(options.num_frames / PAIR) * PAIR
        most = max(num_frames // PAIR * PAIR, PAIR)
        if not PAIR <= num_chosen <= most:
            raise InvalidRequest(
                f"`num_frames` is {options.num_frames}, but the video has {num_frames} frames and "
                f"an even number of them is watched; ask for {PAIR} to {most}"
            )
        return num_chosen
    least = math.ceil(options.min_frames / PAIR) * PAIR
    most = math.floor(min(options.max_frames, num_frames) / PAIR) * PAIR
    wanted = min(max(duration_s * options.fps, least), most)
    return max(math.floor(wanted / PAIR) * PAIR, PAIR)
