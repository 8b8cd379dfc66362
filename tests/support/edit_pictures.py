"""Pictures and masks as files, for edits."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def file_of(image: Image.Image, file_format: str = "PNG") -> bytes:
    """Write a picture."""
    out = io.BytesIO()
    image.save(out, file_format)
    return out.getvalue()


def noise(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Draw a picture in which no two pixels are alike."""
    dice = np.random.default_rng(seed)
    return Image.fromarray(dice.integers(0, 256, (height, width, 3), dtype=np.uint8))


def mask_of(width: int, height: int, box: tuple[int, int, int, int]) -> Image.Image:
    """Mark a box, left, top, right and bottom, by white on black."""
    levels = np.zeros((height, width), np.uint8)
    left, top, right, bottom = box
    levels[top:bottom, left:right] = 255
    return Image.fromarray(levels)


def pixels_of(data: bytes) -> np.ndarray:
    """Read a file."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
