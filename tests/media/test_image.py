from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from myna.core.errors import InvalidRequest, TooLarge, Unsupported
from myna.media.decoded import Pixels
from myna.media.image import decode_image
from myna.media.limits import MediaBudget

# A picture without any symmetry.
PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3
ORIENTED = {
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.transpose(1, 0, 2),
    6: np.rot90(PIXELS, -1),
    7: PIXELS[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(PIXELS, 1),
}


def decode(data: bytes) -> Pixels:
    return decode_image(data, MediaBudget()).pixels


def save(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body).to_bytes(4, "big")
    return len(body).to_bytes(4, "big") + kind + body + crc


def png(width: int, height: int, *, depth: int = 1, body: bytes = b"") -> bytes:
    """Write a PNG whose header states any size."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header = chunk(b"IHDR", size + bytes([depth, 0, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
def test_pictures_are_turned_upright(write_image, form: str, orientation: int) -> None:
    pixels = decode(write_image(PIXELS, form=form, orientation=orientation))
    expected = ORIENTED[orientation]
    if form == "JPEG":
        flat = decode(write_image(PIXELS, form=form))
        expected = {**ORIENTED, 1: flat}[orientation] if orientation == 1 else None
        reference = Image.fromarray(flat)
        expected = np.asarray(_turn_as_pillow_does(reference, orientation))
    assert np.array_equal(pixels, expected)


def _turn_as_pillow_does(image: Image.Image, orientation: int) -> Image.Image:
    turns = Image.Transpose
    turn = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)


def test_an_exif_block_that_makes_no_sense_is_passed_over() -> None:
    data = save(Image.fromarray(PIXELS), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffgarbage")
    assert np.array_equal(decode(data), PIXELS)


def test_transparent_pictures_are_laid_on_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0], rgba[0, :, 3] = 200, [0, 255, 51]
    pixels = decode(save(Image.fromarray(rgba), "PNG"))
    assert pixels.tolist() == [[[255, 255, 255], [200, 0, 0], [244, 204, 204]]]


def test_a_transparent_colour_of_a_palette_is_laid_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    pixels = decode(save(image, "PNG", transparency=0))
    assert pixels.tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_sixteen_bits_of_grey_keep_their_tones() -> None:
    grey = np.array([[0, 256, 32768, 65535]], np.uint16)
    assert decode(save(Image.fromarray(grey), "PNG"))[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("mode", "form"),
    [("L", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("L", "JPEG")],
)
def test_every_mode_becomes_red_green_and_blue(mode: str, form: str) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    data = save(image, form)
    expected = Image.open(io.BytesIO(data)).convert("RGB")
    assert np.array_equal(decode(data), np.asarray(expected))


def test_of_an_animation_the_first_frame_is_seen() -> None:
    first, second = (Image.new("P", (5, 5), idx) for idx in (1, 2))
    first.putpalette([0, 0, 0, 9, 9, 9, 99, 99, 99])
    second.putpalette([0, 0, 0, 9, 9, 9, 99, 99, 99])
    data = save(first, "GIF", save_all=True, append_images=[second])
    assert np.unique(decode(data)).tolist() == [9]


def test_a_picture_taller_than_a_strip_is_whole() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (600, 7, 3), dtype=np.uint8)
    assert np.array_equal(decode(save(Image.fromarray(pixels), "PNG")), pixels)


def test_the_header_is_charged_before_anything_is_decoded() -> None:
    with pytest.raises(TooLarge, match="13000 x 13000"):
        decode(png(13_000, 13_000, body=b"never read"))


def test_sizes_beyond_reason_are_refused() -> None:
    with pytest.raises(TooLarge, match="more than 178 megapixels"):
        decode(png(60_000, 60_000))


@pytest.mark.parametrize("form", ["TIFF", "BMP", "PPM", "TGA", "ICO", "PDF"])
def test_other_formats_are_refused(form: str) -> None:
    data = save(Image.fromarray(PIXELS), form)
    with pytest.raises(Unsupported, match="not understood; send one of PNG, JPEG, WEBP, GIF"):
        decode(data)


def test_an_empty_picture_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="the picture is empty"):
        decode(b"")


def test_half_a_picture_is_refused_and_the_library_is_not_quoted() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = save(Image.fromarray(pixels), "PNG")
    with pytest.raises(InvalidRequest) as caught:
        decode(data[: len(data) // 2])
    assert caught.value.message == "the picture is damaged and cannot be decoded; save it again"


def test_a_header_without_sense_is_refused() -> None:
    data = save(Image.fromarray(PIXELS), "PNG")
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**21)))
    with pytest.raises(InvalidRequest, match="the picture's header is damaged"):
        decode(data[:33] + bomb + data[33:])
