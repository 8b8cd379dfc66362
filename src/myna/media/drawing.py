"""Pictures on their way out of a model: brought to size, laid over one another, written as files.

Not here: reading files, which are not to be trusted (image).
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from myna.media.decoded import Pixels

FileFormat = Literal["png", "jpeg", "webp"]
Weights = NDArray[np.float32]
PNG_LEVEL = 3  # a third of the time of the usual level, files a few percent larger


def scale(pixels: Pixels, *, width: int, height: int) -> Pixels:
    """Bring (height, width, 3) pixels to a size by Pillow's Lanczos filter."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def scale_weights(weights: Weights, *, width: int, height: int) -> Weights:
    """Bring (height, width) weights to a size; each becomes the mean of what it covers."""
    image = Image.fromarray(weights)
    return np.array(image.resize((width, height), Image.Resampling.BOX))


def lay_over(below: Pixels, above: Pixels, weights: Weights) -> Pixels:
    """Lay a picture over another: where its weight is 0, what is below keeps its very values.

    Args:
        below: (height, width, 3).
        above: the same.
        weights: (height, width) from 0 to 1.
    """
    share = weights[:, :, None]
    mixed = np.rint(below * (1 - share) + above * share).astype(np.uint8)
    return np.where(share == 0, below, mixed)


def write_picture(pixels: Pixels, file_format: FileFormat, *, quality: int = 95) -> bytes:
    """Write (height, width, 3) pixels as a file.

    Args:
        pixels: red, green and blue.
        file_format: of the file.
        quality: from 0 to 100, of JPEG and WebP.
    """
    out = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if file_format == "png":
        image.save(out, "PNG", compress_level=PNG_LEVEL)
    else:
        image.save(out, file_format.upper(), quality=quality)
    return out.getvalue()
