import numpy as np
import pytest

from myna.train.language.words import SHAPES as SPOKEN
from myna.train.pictures import figures


def test_every_shape_that_is_spoken_of_can_be_drawn():
    assert set(figures.SHAPES) == set(SPOKEN)


@pytest.mark.parametrize("shape", figures.SHAPES)
def test_a_shape_is_filled_in_its_colour(shape):
    drawn = figures.draw(shape, (10, 20, 30))
    filled = drawn[..., 3] > 128
    assert 0.1 < filled.mean() < 0.95
    assert (drawn[filled][:, :3] == (10, 20, 30)).all()


def test_a_ring_has_a_hole_and_a_circle_has_none():
    middle = figures.ICON_PX // 2
    assert figures.draw("ring", (1, 1, 1))[middle, middle, 3] == 0
    assert figures.draw("circle", (1, 1, 1))[middle, middle, 3] == 255


def test_no_two_shapes_look_alike():
    masks = [figures.draw(shape, (0, 0, 0))[..., 3] > 128 for shape in figures.SHAPES]
    for i, one in enumerate(masks):
        for other in masks[:i]:
            assert np.mean(one != other) > 0.05
