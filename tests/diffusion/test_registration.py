"""Drift is found although part of a picture was changed, and undone without harm."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from myna.core.events import Drift
from myna.diffusion.registration import extent_px, measure_drift, undo
from myna.media.decoded import Pixels

SIZE = (320, 240)
SHIFT_ATOL_PX = 0.2
ZOOM_ATOL = 0.003


def scene(seed: int) -> Image.Image:
    """Draw coloured shapes."""
    width, height = SIZE
    dice = np.random.default_rng(seed)
    image = Image.new("RGB", SIZE, tuple(dice.integers(0, 255, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        left, top, side = dice.integers(0, width), dice.integers(0, height), dice.integers(5, 60)
        shape = draw.ellipse if dice.random() < 0.5 else draw.rectangle
        box = (left, top, left + side, top + side * (0.3 + dice.random()))
        shape(box, fill=tuple(dice.integers(0, 255, 3)))
    return image.filter(ImageFilter.GaussianBlur(1))


def moved(image: Image.Image, right: float, down: float, zoom: float) -> Pixels:
    width, height = image.size
    share = 1 / zoom
    matrix = (share, 0, width / 2 - (width / 2 + right) * share, 0, share)
    matrix += (height / 2 - (height / 2 + down) * share,)
    turned = image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    return np.array(turned)


def edited(pixels: Pixels) -> Pixels:
    """Put something new into the picture, and change its colours and grain a little."""
    dice = np.random.default_rng(0)
    out = pixels.astype(float) * 0.9 + 10 + dice.normal(0, 5, pixels.shape)
    out[60:120, 80:160] = dice.integers(0, 255, (60, 80, 3))
    return out.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("right", "down", "zoom"),
    [(0, 0, 1), (3.3, -1.7, 1), (0, 0, 1.015), (-2, 4, 0.985), (6, 0, 1.02)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_shifts_and_zooms_are_measured(seed: int, right: float, down: float, zoom: float) -> None:
    image = scene(seed)
    drift = measure_drift(np.array(image), edited(moved(image, right, down, zoom)))
    assert drift is not None
    assert abs(drift.right_px - right) < SHIFT_ATOL_PX
    assert abs(drift.down_px - down) < SHIFT_ATOL_PX
    assert abs(drift.zoom - zoom) < ZOOM_ATOL


def test_undoing_brings_a_picture_back() -> None:
    image = scene(2)
    off = moved(image, 3.4, -2.2, 1.012)
    drift = measure_drift(np.array(image), off)
    assert drift is not None
    inner = np.s_[12:-12, 12:-12]
    errors = [
        np.abs(pixels.astype(float) - np.array(image))[inner].mean()
        for pixels in (off, undo(off, drift))
    ]
    assert errors[1] < errors[0] / 4


def test_what_has_no_source_repeats_the_edge() -> None:
    flat = np.full((20, 30, 3), 7, np.uint8)
    drift = Drift(right_px=5.0, down_px=-3.0, zoom=0.97, is_undone=False)
    assert (undo(flat, drift) == 7).all()


def test_pictures_of_different_things_have_no_drift() -> None:
    assert measure_drift(np.array(scene(3)), np.array(scene(4))) is None


def test_flat_and_tiny_pictures_have_no_drift() -> None:
    assert measure_drift(np.zeros((40, 60, 3), np.uint8), np.array(scene(0))[:40, :60]) is None
    one = np.zeros((1, 1, 3), np.uint8)
    assert measure_drift(one, one) is None


def test_the_extent_of_drift_is_that_of_the_farthest_place() -> None:
    drift = Drift(right_px=-2.0, down_px=1.0, zoom=1.01, is_undone=False)
    assert extent_px(drift, 200, 100) == pytest.approx(3.0)
