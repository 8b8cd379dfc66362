"""How nano's pictures are cut: the rule of its preprocessor configuration."""

from __future__ import annotations

from myna.media.patches import PatchRule
from myna.train.shapes import MAX_PICTURE_PIXELS, MIN_PICTURE_PIXELS

# The same numbers as `shapes.PREPROCESSOR`, in the type that media understands.
PICTURE_RULE = PatchRule(
    patch_px=16,
    min_px=MIN_PICTURE_PIXELS,
    max_px=MAX_PICTURE_PIXELS,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)
