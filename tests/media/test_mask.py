"""What a mask marks: what is transparent, or else what is white."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from myna.core.errors import InvalidRequest, TooLarge, Unsupported
from myna.media.decoder import Decoder
from myna.media.image import decode_mask
from myna.media.limits import MediaBudget, MediaLimits


def png(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def with_alpha() -> Image.Image:
    levels = np.full((2, 3, 4), 255, np.uint8)
    levels[0, 0, 3], levels[1, 2, 3] = 0, 155
    return Image.fromarray(levels)


def test_what_is_transparent_is_marked() -> None:
    found = decode_mask(png(with_alpha()), MediaBudget())
    assert found.tolist() == [[255, 0, 0], [0, 0, 100]]


def test_of_an_opaque_mask_what_is_white_is_marked() -> None:
    grey = Image.fromarray(np.array([[0, 255], [128, 1]], np.uint8))
    expected = [[0, 255], [128, 1]]
    assert decode_mask(png(grey), MediaBudget()).tolist() == expected
    assert decode_mask(png(grey.convert("RGBA")), MediaBudget()).tolist() == expected
    bits = Image.fromarray(np.array([[False, True]]))
    assert decode_mask(png(bits), MediaBudget()).tolist() == [[0, 255]]


def test_a_mask_is_turned_as_its_picture_is() -> None:
    image = Image.fromarray(np.array([[0, 255]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_mask(png(image, exif=exif), MediaBudget()).tolist() == [[0], [255]]


def test_a_mask_is_charged_like_a_picture() -> None:
    budget = MediaBudget(MediaLimits(max_image_px=5))
    with pytest.raises(TooLarge, match="megapixels"):
        decode_mask(png(with_alpha()), budget)


def test_what_is_no_mask_is_refused() -> None:
    with pytest.raises(Unsupported, match="not understood"):
        decode_mask(b"no picture", MediaBudget())
    with pytest.raises(InvalidRequest, match="damaged and cannot be decoded"):
        decode_mask(png(with_alpha())[:-40], MediaBudget())


def test_masks_are_decoded_in_the_child() -> None:
    decoder = Decoder(num_children=1)
    try:
        found = decoder.mask(png(with_alpha()), MediaBudget())
    finally:
        decoder.close()
    assert found.shape == (2, 3)
