import random

import numpy as np
import pytest
from PIL import Image

from myna.train.pictures import canvas, figures
from myna.train.pictures.canvas import COLOURS


def test_a_box_is_where_the_drawing_landed():
    image = Image.new("RGB", (100, 80))
    square = figures.draw("square", (255, 255, 255))
    box = canvas.paste(image, square, centre=(60, 40), side_px=50)
    rows, columns = np.nonzero(np.asarray(image)[..., 0] > 60)
    assert box.left * 100 == pytest.approx(columns.min(), abs=1)
    assert box.right * 100 == pytest.approx(columns.max() + 1, abs=1)
    assert box.top * 80 == pytest.approx(rows.min(), abs=1)
    assert box.bottom * 80 == pytest.approx(rows.max() + 1, abs=1)
    assert (box.x * 100, box.y * 80) == pytest.approx((60, 40), abs=1)


def test_a_drawing_is_turned_counter_clockwise():
    image = Image.new("RGB", (64, 64))
    arrow = figures.draw("arrow", (255, 255, 255))
    canvas.paste(image, arrow, centre=(32, 32), side_px=60, angle=90)
    rows = (np.asarray(image)[..., 0] > 128).sum(1)
    assert rows[:32].argmax() < 32
    assert rows[:32].max() > rows[32:].max()  # the head points up


def test_a_flipped_drawing_swaps_left_and_right():
    image = Image.new("RGB", (64, 64))
    arrow = figures.draw("arrow", (255, 255, 255))
    canvas.paste(image, arrow, centre=(32, 32), side_px=60, flip=True)
    columns = (np.asarray(image)[..., 0] > 128).sum(0)
    assert columns[:32].max() > columns[32:].max()


def test_stretching_widens():
    image = Image.new("RGB", (128, 128))
    square = figures.draw("square", (255, 255, 255))
    box = canvas.paste(image, square, centre=(64, 64), side_px=60, stretch=1.44)
    wide, high = box.right - box.left, box.bottom - box.top
    assert wide / high == pytest.approx(1.44, abs=0.1)


@pytest.mark.parametrize("colour", COLOURS)
def test_shades_are_nearer_to_their_own_colour_than_to_any_other(colour):
    rng = random.Random(1)
    for _ in range(20):
        shade = canvas.shade(rng, colour)
        nearest = min(COLOURS, key=lambda name: canvas.contrast(shade, COLOURS[name]))
        assert nearest == colour


def test_a_background_keeps_near_its_base():
    rng = random.Random(2)
    for _ in range(30):
        pixels = np.asarray(canvas.background(rng, 40, 30, (120, 60, 200)))
        assert pixels.shape == (30, 40, 3)
        assert np.abs(pixels.reshape(-1, 3).mean(0) - (120, 60, 200)).max() < 40


def test_wear_keeps_the_size_and_depends_on_the_seed_alone():
    image = canvas.background(random.Random(3), 50, 40)
    first = [canvas.wear(random.Random(i), image) for i in range(8)]
    second = [canvas.wear(random.Random(i), image) for i in range(8)]
    assert all(pixels.shape == (40, 50, 3) for pixels in first)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_tint_leaves_the_outline_alone():
    drawn = figures.draw("star", (200, 30, 60))
    rng = random.Random(4)
    tinted = [canvas.tint(rng, drawn) for _ in range(10)]
    assert all(np.array_equal(made[..., 3], drawn[..., 3]) for made in tinted)
    assert any(not np.array_equal(made, drawn) for made in tinted)
