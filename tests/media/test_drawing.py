"""Pictures on their way out: sizes, masks, files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from myna.media.drawing import lay_over, scale, scale_weights, write_picture


def pixels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    picture = pixels(5, 7)
    assert scale(picture, width=7, height=5) is picture
    assert scale(picture, width=3, height=4).shape == (4, 3, 3)


def test_outside_of_the_mask_pixels_keep_their_values() -> None:
    below, above = pixels(4, 4), 255 - pixels(4, 4)
    weights = np.zeros((4, 4), np.float32)
    weights[0, 0], weights[1, 1] = 1.0, 0.5
    mixed = lay_over(below, above, weights)
    assert (mixed[2:] == below[2:]).all()
    assert (mixed[0, 0] == above[0, 0]).all()
    middle = (below[1, 1].astype(int) + above[1, 1]) / 2
    assert np.abs(mixed[1, 1] - middle).max() <= 0.5


def test_weights_become_the_mean_of_what_they_cover() -> None:
    weights = np.array([[1, 0], [0, 0]], np.float32)
    assert scale_weights(weights, width=1, height=1).tolist() == [[0.25]]


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp"])
def test_pictures_are_written_in_every_format(file_format) -> None:
    picture = np.full((8, 6, 3), 90, np.uint8)
    read = Image.open(io.BytesIO(write_picture(picture, file_format, quality=90)))
    assert (read.format, read.size) == (file_format.upper(), (6, 8))
    assert np.abs(np.asarray(read.convert("RGB")).astype(int) - 90).max() <= 2


def test_quality_makes_files_larger() -> None:
    picture = pixels(32, 32)
    small, large = (write_picture(picture, "jpeg", quality=quality) for quality in (10, 95))
    assert len(small) < len(large)
