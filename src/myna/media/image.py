"""Pictures: PNG, JPEG, WebP and the first frame of a GIF, as upright RGB.

The header is read first and its size charged before a pixel is decoded. Runs in the decoding child;
what the library says about a file never reaches a client, since it may quote memory addresses.
Source: qwen-omni-utils 0.0.9 `to_rgb` (transparent pictures are laid on white).
Differs: the EXIF orientation is applied, and 16-bit grey keeps its tones instead of being clipped.
"""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np

# Imported by name so that nothing is left to import once the child can no longer open files.
from PIL import (
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from myna.core.errors import InvalidRequest, TooLarge, Unsupported
from myna.media.decoded import Picture
from myna.media.limits import MediaBudget

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
PLUGINS = (
    GifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
ORIENTATION_TAG = 0x0112  # EXIF 2.3, tag "Orientation"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
WHITE = (255, 255, 255)
# What Pillow raises, in one place or another, over files that are damaged.
DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    struct.error,
)


def decode_image(data: bytes, budget: MediaBudget) -> Picture:
    """Decode a picture.

    Args:
        data: the file.
        budget: charged with the pixels that the header states, before they are decoded.
    """
    image = _open(data)
    with image:
        budget.charge_image(*image.size)
        try:
            image.load()
            upright = _turn(image)
            return Picture(pixels=np.array(_to_rgb(upright), dtype=np.uint8))
        except DAMAGE as error:
            raise InvalidRequest(
                "the picture is damaged and cannot be decoded; save it again", code="bad_media"
            ) from error


def _open(data: bytes) -> Image.Image:
    """Read a picture's header."""
    if not data:
        raise InvalidRequest("the picture is empty; send its bytes", code="bad_media")
    try:
        with warnings.catch_warnings():
            # Our own limit is lower than the one that Pillow warns about.
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise Unsupported(
            f"the picture is not understood; send one of {', '.join(FORMATS)}"
        ) from error
    except Image.DecompressionBombError as error:
        raise TooLarge(
            "the picture states a size of more than 178 megapixels; make it smaller",
            code="media_too_large",
        ) from error
    except DAMAGE as error:
        raise InvalidRequest(
            "the picture's header is damaged; save it again", code="bad_media"
        ) from error


def _turn(image: Image.Image) -> Image.Image:
    """Turn a picture upright; what cannot be read of its EXIF data counts as absent."""
    try:
        orientation = image.getexif().get(ORIENTATION_TAG)
    except DAMAGE:
        return image
    turn = TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        # Sixteen bits of grey: `convert` would clip them at 255 instead of scaling.
        grey = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(grey.clip(0, 255).astype(np.uint8), mode=None).convert("RGB")
    if image.has_transparency_data:
        opaque = Image.new("RGB", image.size, WHITE)
        see_through = image.convert("RGBA")
        opaque.paste(see_through, mask=see_through.getchannel("A"))
        return opaque
    return image.convert("RGB")
