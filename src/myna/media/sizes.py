"""The sizes that pictures and frames are brought to, so that whole patches fit.

Source: transformers 5.23 `smart_resize` (qwen2_vl); qwen-omni-utils 0.0.9 `fetch_video`.
"""

from __future__ import annotations

import math

from myna.core.errors import InvalidRequest

MAX_ASPECT = 200
# Tokens of a frame, and the share of the context that a whole clip may fill (qwen-omni-utils).
MIN_FRAME_TOKENS = 128
MAX_FRAME_TOKENS = 768
CLIP_TOKENS = 128_000 * 0.9
FRAMES_PER_TOKEN = 2
MIN_SLACK = 1.05


def smart_resize(
    height: int, width: int, *, factor: int, min_px: float, max_px: float
) -> tuple[int, int]:
    """Find a height and width that are multiples of `factor`, near the aspect, within pixel bounds.

    Raises:
        InvalidRequest: one side is more than 200 times the other.
    """
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise InvalidRequest(
            f"a picture of {width} x {height} is too narrow: one side may be {MAX_ASPECT} times "
            "the other; crop it",
            code="bad_media",
        )
    new_height = round(height / factor) * factor
    new_width = round(width / factor) * factor
    if new_height * new_width > max_px:
        shrink = math.sqrt(height * width / max_px)
        new_height = max(factor, math.floor(height / shrink / factor) * factor)
        new_width = max(factor, math.floor(width / shrink / factor) * factor)
    elif new_height * new_width < min_px:
        grow = math.sqrt(min_px / (height * width))
        new_height = math.ceil(height * grow / factor) * factor
        new_width = math.ceil(width * grow / factor) * factor
    return new_height, new_width


def frame_size(
    height: int,
    width: int,
    *,
    num_frames: int,
    factor: int,
    max_px: int | None = None,
    clip_px: int | None = None,
) -> tuple[int, int]:
    """Find the height and width for the frames of a clip: the more frames, the smaller.

    Args:
        height: of the frames in the file.
        width: of the frames in the file.
        num_frames: how many were chosen.
        factor: pixels a side of a token.
        max_px: a wish for fewer pixels a frame.
        clip_px: a wish for other than the usual pixels of all frames, a token counted once.
    """
    min_px = MIN_FRAME_TOKENS * factor**2
    total_px = CLIP_TOKENS * factor**2 if clip_px is None else clip_px
    share_px = total_px / num_frames * FRAMES_PER_TOKEN
    most_px = max(min(MAX_FRAME_TOKENS * factor**2, share_px), int(min_px * MIN_SLACK))
    if max_px is not None:
        most_px = min(most_px, max_px)
    return smart_resize(height, width, factor=factor, min_px=min(min_px, most_px), max_px=most_px)
