"""Pictures and clips as rows of patches: what the vision encoders read.

Four rows in a row are the two-by-two patches that the encoder merges into one token.
Source: transformers 5.23 `Qwen2VLImageProcessorPil` and `Qwen2VLVideoProcessor`;
qwen-omni-utils 0.0.9 `fetch_image`, `fetch_video`.
Differs: pictures are resized once, from the original. The vendor's two steps (first to multiples of
another factor, then to the model's) blur; `compat_factor` does as they do. Clips come in size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from myna.core.errors import InvalidRequest
from myna.media.decoded import Clip, Picture, Pixels
from myna.media.sizes import frame_size, smart_resize

# What qwen-omni-utils allows in its own first step, in tokens.
VENDOR_MIN_TOKENS = 4
VENDOR_MAX_TOKENS = 16_384
LEVELS = 256


@dataclass(frozen=True, kw_only=True)
class PatchRule:
    """Say how a model cuts pictures; the fields stand in its `preprocessor_config.json`."""

    patch_px: int
    min_px: int
    max_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    merge: int = 2
    num_together: int = 2  # frames in a patch

    @property
    def factor(self) -> int:
        """Give the side of a token in pixels."""
        return self.patch_px * self.merge

    @property
    def row_width(self) -> int:
        """Give how many numbers a patch holds."""
        return 3 * self.num_together * self.patch_px**2


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Hold the patches of one picture or clip.

    Args:
        rows: (P, F) float32.
        grid: patches along time, height and width; their product is P.
        num_tokens: what it costs in the model's context.
    """

    rows: NDArray[np.float32]
    grid: tuple[int, int, int]
    num_tokens: int


def count_image_tokens(height: int, width: int, rule: PatchRule) -> int:
    """Tell what a picture costs, before anything is done with it."""
    height, width = smart_resize(
        height, width, factor=rule.factor, min_px=rule.min_px, max_px=rule.max_px
    )
    return height * width // rule.factor**2


def cut_image(picture: Picture, rule: PatchRule, *, compat_factor: int | None = None) -> Patches:
    """Resize a picture to whole tokens and cut it.

    Args:
        picture: of any size.
        rule: the model's.
        compat_factor: the factor of a first resize that the vendor's example code makes.
    """
    pixels = picture.pixels
    if compat_factor is not None:
        pixels = _vendor_resize(pixels, compat_factor)
    height, width = smart_resize(
        *pixels.shape[:2], factor=rule.factor, min_px=rule.min_px, max_px=rule.max_px
    )
    still = resize(pixels, height, width)[None]
    # A picture is a clip of one frame that does not move.
    return _cut(np.broadcast_to(still, (rule.num_together, *still.shape[1:])), rule)


def cut_clip(clip: Clip, rule: PatchRule) -> Patches:
    """Cut a clip whose frames are in size; an odd last frame is shown twice."""
    height, width = clip.frames.shape[1:3]
    if height % rule.factor or width % rule.factor:
        raise InvalidRequest(
            f"frames of {width} x {height} are no multiples of {rule.factor}; decode the video "
            "with the model's factor"
        )
    num_missing = -len(clip.frames) % rule.num_together
    frames = np.concatenate([clip.frames, *[clip.frames[-1:]] * num_missing])
    return _cut(frames, rule)


def clip_of_pictures(
    pictures: Sequence[Picture],
    *,
    factor: int,
    sample_fps: float = 2.0,
    max_px: int | None = None,
    compat_factor: int | None = None,
) -> Clip:
    """Make a clip of pictures that a caller sends as its frames.

    All take the size that the first one asks for.

    Args:
        pictures: in order.
        factor: the side of a token in pixels.
        sample_fps: how many there are for a second.
        max_px: of each, where fewer than usual are wanted.
        compat_factor: the factor of a first resize that the vendor's code makes.
    """
    if not pictures:
        raise InvalidRequest("a video given as frames holds none; send at least one")
    if not (math.isfinite(sample_fps) and sample_fps > 0):
        raise InvalidRequest(f"`fps` is {sample_fps}; give a number above 0", param="fps")
    frames = [picture.pixels for picture in pictures]
    frames += frames[-1:] * (len(frames) % 2)
    if compat_factor is not None:
        frames = [_vendor_resize(frame, compat_factor) for frame in frames]
    height, width = frame_size(
        *frames[0].shape[:2], num_frames=len(frames), factor=factor, max_px=max_px
    )
    return Clip(
        frames=np.stack([resize(frame, height, width) for frame in frames]),
        times_s=tuple(idx / sample_fps for idx in range(len(frames))),
        sample_fps=sample_fps,
    )


def resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resize by Pillow's bicubic filter, which is the reference's."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def _vendor_resize(pixels: Pixels, factor: int) -> Pixels:
    height, width = smart_resize(
        *pixels.shape[:2],
        factor=factor,
        min_px=VENDOR_MIN_TOKENS * factor**2,
        max_px=VENDOR_MAX_TOKENS * factor**2,
    )
    return resize(pixels, height, width)


def _cut(frames: Pixels, rule: PatchRule) -> Patches:
    """Cut frames into patches and look their levels up, already normalised."""
    num_frames, height, width, num_colours = frames.shape
    steps = num_frames // rule.num_together
    rows, columns = height // rule.patch_px, width // rule.patch_px
    blocks = frames.reshape(
        steps,
        rule.num_together,
        rows // rule.merge,
        rule.merge,
        rule.patch_px,
        columns // rule.merge,
        rule.merge,
        rule.patch_px,
        num_colours,
    )
    # To (step, row block, column block, row, column, colour, frame, y, x).
    blocks = blocks.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    levels = blocks.reshape(steps * rows * columns, num_colours, -1)  # (P, 3, F/3)
    out = np.empty(levels.shape, np.float32)
    for colour, table in enumerate(_normalised_levels(rule)):
        out[:, colour] = table[levels[:, colour]]
    return Patches(
        rows=out.reshape(len(out), rule.row_width),  # (P, F)
        grid=(steps, rows, columns),
        num_tokens=steps * rows * columns // rule.merge**2,
    )


def _normalised_levels(rule: PatchRule) -> NDArray[np.float32]:
    """Tabulate what each of the 256 levels of each colour becomes: (3, 256)."""
    levels = np.arange(LEVELS, dtype=np.float64) / (LEVELS - 1)
    mean, std = np.array(rule.mean)[:, None], np.array(rule.std)[:, None]
    normalised: NDArray[np.float32] = ((levels - mean) / std).astype(np.float32)
    return normalised
