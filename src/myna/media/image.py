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
from PIL import (
    Image,
    MpoImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from myna.core.errors import InvalidRequest, TooLarge, Unsupported
from myna.media.decoded import Picture, Pixels
from myna.media.limits import MediaBudget

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
# Pillow would import these when a file calls for them, and then it is too late: see `warm_up`.
LATE_IMPORTS = (MpoImagePlugin, TiffImagePlugin, WebPImagePlugin)
ORIENTATION_TAG = 0x0112  # EXIF 2.3, tag "Orientation"
# By orientation: does it exchange rows and columns first, then reverse rows, reverse columns?
TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
STRIP_ROWS = 256
LEVELS = 256
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
    with warnings.catch_warnings():
        # About damage that Pillow passes over, and sizes above our own, lower limit.
        warnings.simplefilter("ignore")
        with _open(data) as image:
            budget.charge_image(*image.size)
            return _decode(image)


def decode_mask(data: bytes, budget: MediaBudget) -> Pixels:
    """Decode a mask: how much of each place is marked, from 0 to 255.

    What is transparent is marked; in a picture that is opaque all over, what is white.

    Args:
        data: the file.
        budget: charged as for a picture.

    Returns:
        (height, width) uint8.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in `decode_image`
        with _open(data) as image:
            budget.charge_image(*image.size)
            try:
                image.load()
                orientation = _read_orientation(image)
                marked = _read_marks(image)
            except DAMAGE as error:
                raise _damaged() from error
    return _turn(marked[:, :, None], orientation)[:, :, 0]


def _read_marks(image: Image.Image) -> Pixels:
    """Give what is transparent, or else how bright a picture is."""
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        if alpha.min() < LEVELS - 1:
            return LEVELS - 1 - alpha
    return np.asarray(_to_rgb(image).convert("L"))


def warm_up() -> None:
    """Have everything loaded that decoding needs, so that no file is opened later."""
    Image.preinit()


def _open(data: bytes) -> Image.Image:
    """Read a picture's header."""
    if not data:
        raise InvalidRequest("the picture is empty; send its bytes", code="bad_media")
    try:
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


def _decode(image: Image.Image) -> Picture:
    try:
        image.load()
        orientation = _read_orientation(image)
        pixels = _read_pixels(image)
    except DAMAGE as error:
        raise _damaged() from error
    return Picture(pixels=_turn(pixels, orientation))


def _damaged() -> InvalidRequest:
    return InvalidRequest(
        "the picture is damaged and cannot be decoded; save it again", code="bad_media"
    )


def _read_orientation(image: Image.Image) -> int:
    """Read how a picture is to be turned; what cannot be read of its EXIF data counts as absent."""
    try:
        orientation = image.getexif().get(ORIENTATION_TAG)
    except DAMAGE:
        return 1
    return orientation if isinstance(orientation, int) else 1


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    """Turn pixels upright."""
    is_exchanged, are_rows_reversed, are_columns_reversed = TURNS.get(orientation, (False,) * 3)
    if is_exchanged:
        pixels = pixels.transpose(1, 0, 2)
    return pixels[:: -1 if are_rows_reversed else 1, :: -1 if are_columns_reversed else 1]


def _read_pixels(image: Image.Image) -> Pixels:
    """Give a picture's colours, strip by strip: several whole copies would not fit the child."""
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        pixels[top:bottom] = np.asarray(_to_rgb(image.crop((0, top, width, bottom))))
    return pixels


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        # Sixteen bits of grey: `convert` would clip them at 255 instead of scaling.
        grey = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        opaque = Image.new("RGB", image.size, WHITE)
        see_through = image.convert("RGBA")
        opaque.paste(see_through, mask=see_through.getchannel("A"))
        return opaque
    return image.convert("RGB")
