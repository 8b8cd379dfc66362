"""Positions of a prompt's tokens on three axes: time, height and width.

Text and sound advance all axes alike. A picture's tokens share one time and spread over height and
width; a video's advance in time as fast as its sound does, by fractions if need be. What follows
begins one above what came last.

Not here: which tokens a prompt has (inputs), how positions turn heads (rope).
Source: transformers 5.23 `get_rope_index` of Qwen3-Omni, to the bit; arXiv:2509.17765 §2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sound:
    """Describe a clip of sound."""

    num_tokens: int


@dataclass(frozen=True)
class Picture:
    """Describe a picture, in rows and columns of tokens."""

    rows: int
    cols: int

    @property
    def num_tokens(self) -> int:
        """Count its tokens."""
        return self.rows * self.cols


@dataclass(frozen=True)
class Video:
    """Describe a video, in steps of rows and columns of tokens, and the sound that goes with it."""

    steps: int
    rows: int
    cols: int
    seconds_per_step: float
    sound: Sound | None = None

    @property
    def num_tokens(self) -> int:
        """Count its tokens, those of its sound left out."""
        return self.steps * self.rows * self.cols


Medium = Sound | Picture | Video


@dataclass(frozen=True)
class Span:
    """Say where a medium is in a prompt, the tokens that enclose it included."""

    medium: Medium
    start: int
    stop: int


def num_edges(medium: Medium) -> int:
    """Count the tokens that open a medium, and as many close it."""
    return 2 if isinstance(medium, Video) and medium.sound is not None else 1


def video_first(video_keys: Tensor, sound_keys: Tensor) -> Tensor:
    """Merge a video's tokens with its sound's by time; at equal times the video comes first.

    Args:
        video_keys: times, ascending.
        sound_keys: times, ascending, on the same scale.

    Returns:
        For each merged token, whether it is the video's.
    """
    is_video = torch.zeros(len(video_keys) + len(sound_keys), dtype=torch.bool)
    num_sounds_before = torch.searchsorted(sound_keys, video_keys)
    is_video[torch.arange(len(video_keys)) + num_sounds_before] = True
    return is_video


def positions(num_tokens: int, spans: Sequence[Span], *, positions_per_s: int) -> Tensor:
    """Give each token its place: (3, N) float32, on the CPU.

    Args:
        num_tokens: N.
        spans: the media among them, in order.
        positions_per_s: how far a second of video advances.
    """
    pieces = []
    after = torch.zeros(())  # float32, and rounded at each step as the reference rounds
    done = 0
    for span in spans:
        edges = num_edges(span.medium)
        pieces += [_text(span.start - done, after), _text(edges, after + (span.start - done))]
        after = after + (span.start - done) + edges
        body, last = _body(span.medium, after, positions_per_s)
        end = _text(edges, last + 1)
        pieces += [body, end]
        after = end[0, -1] + 1
        done = span.stop
    pieces.append(_text(num_tokens - done, after))
    found = torch.cat(pieces, dim=1)
    assert found.shape[1] == num_tokens, "spans do not hold as many tokens as their media"
    return found


def advance(found: Tensor) -> float:
    """Tell how far decoding is ahead of counting: token p has position p + this, on all axes."""
    return float(found.max() + 1 - found.shape[1]) if found.shape[1] else 0.0


def spans_of_talker(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Leave out what the talker takes for plain text: videos with sound after the last picture.

    The reference never tells its talker that videos have sound, so it finds them only while
    pictures, or silent videos, are still to come.
    """
    silent = [
        i
        for i, span in enumerate(spans)
        if not isinstance(span.medium, Sound) and num_edges(span.medium) == 1
    ]
    last = max(silent, default=-1)
    return tuple(span for i, span in enumerate(spans) if i < last or num_edges(span.medium) == 1)


def _text(num_tokens: int, start: Tensor) -> Tensor:
    return (torch.arange(num_tokens) + start).expand(3, -1)


def _body(medium: Medium, start: Tensor, positions_per_s: int) -> tuple[Tensor, Tensor]:
    """Place a medium's tokens; returns (3, N) and the highest position of what comes last."""
    match medium:
        case Sound(num_tokens=num_tokens):
            found = _text(num_tokens, start)
        case Picture(rows=rows, cols=cols):
            found = _block(torch.zeros(1), rows, cols) + start
        case Video(sound=None):
            found = _video(medium, start, positions_per_s)
        case Video(sound=Sound(num_tokens=num_tokens)):
            video = _video(medium, start, positions_per_s)
            return _with_sound(video, _text(num_tokens, start))
    return found, found.max()


def _with_sound(video: Tensor, sound: Tensor) -> tuple[Tensor, Tensor]:
    """Merge a video with its sound.

    What comes last is the rest of one of them after the other's end; what follows begins above
    that, even where the other reached higher.
    """
    is_video = video_first(video[0].contiguous(), sound[0].contiguous())
    found = torch.empty(3, len(is_video))
    found[:, is_video] = video
    found[:, ~is_video] = sound
    others = (is_video != is_video[-1]).nonzero()
    return found, found[:, int(others[-1]) + 1 :].max()


def _video(medium: Video, start: Tensor, positions_per_s: int) -> Tensor:
    seconds = torch.arange(medium.steps) * torch.tensor(float(medium.seconds_per_step))
    return _block(seconds * positions_per_s, medium.rows, medium.cols) + start


def _block(times: Tensor, rows: int, cols: int) -> Tensor:
    """Spread tokens over times, rows and columns: (3, T*rows*cols) float32."""
    axes = torch.meshgrid(
        times, torch.arange(rows).float(), torch.arange(cols).float(), indexing="ij"
    )
    return torch.stack([axis.flatten() for axis in axes])
