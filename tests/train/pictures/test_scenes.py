import random

import numpy as np
import pytest

from myna.train.pictures import canvas, figures, scenes
from myna.train.pictures.canvas import CLEAR_CONTRAST, COLOURS
from myna.train.pictures.photographs import Photographs
from myna.train.pictures.scenes import Planned


def overlap(one, other):
    wide = min(one.right, other.right) - max(one.left, other.left)
    high = min(one.bottom, other.bottom) - max(one.top, other.top)
    return max(0, wide) * max(0, high)


def test_a_lone_icon_has_the_name_that_was_asked_for(icons):
    seen = scenes.lone(random.Random(0), icons, name="bell", sides_px=(60, 70))
    assert [thing.name for thing in seen.things] == ["bell"]
    assert all(60 <= side <= 70 for side in seen.pixels.shape[:2])


def test_for_a_beginner_an_icon_fills_a_picture_of_one_colour(icons):
    seen = scenes.primer(random.Random(2), icons, ease=1.0)
    (thing,) = seen.things
    assert seen.pixels.shape == (scenes.PRIMER_PX, scenes.PRIMER_PX, 3)
    assert thing.box.right - thing.box.left > 0.6 or thing.box.bottom - thing.box.top > 0.6
    assert len(np.unique(seen.pixels[[0, 0, -1, -1], [0, -1, 0, -1]], axis=0)) <= 2


def test_as_ease_falls_icons_stray_and_shrink(icons):
    def spread(ease):
        rng = random.Random(3)
        boxes = [scenes.primer(rng, icons, ease=ease).things[0].box for _ in range(60)]
        return np.std([box.x for box in boxes]) + np.std([box.right - box.left for box in boxes])

    assert spread(0.9) < spread(0.5) < spread(0.0)


def test_equal_seeds_give_equal_pictures(icons):
    one, other = (scenes.lone(random.Random(7), icons) for _ in range(2))
    assert np.array_equal(one.pixels, other.pixels)
    assert one.things == other.things


def test_some_icons_lie_on_photographs(icons, monkeypatch):
    monkeypatch.setattr(canvas, "wear", lambda rng, image, strength=1.0: np.asarray(image))
    grounds = Photographs(np.full((1, 128, 128, 3), 77, np.uint8))
    rng = random.Random(1)
    seen = [scenes.lone(rng, icons, grounds=grounds).pixels for _ in range(40)]
    assert any((np.abs(pixels.astype(int) - 77) < 2).mean() > 0.3 for pixels in seen)


@pytest.mark.parametrize("count", range(1, 10))
def test_things_of_a_scene_do_not_overlap_and_go_from_left_to_right(icons, count):
    rng = random.Random(count)
    for _ in range(5):
        seen = scenes.scene(rng, icons, scenes.plan(rng, icons, count))
        assert len(seen.things) == count
        xs = [thing.box.x for thing in seen.things]
        assert xs == sorted(xs)
        pairs = [(a, b) for i, a in enumerate(seen.things) for b in seen.things[:i]]
        assert all(overlap(a.box, b.box) < 0.01 for a, b in pairs)


def test_a_big_thing_is_clearly_bigger_than_a_small_one(icons):
    rng = random.Random(3)
    for _ in range(20):
        planned = [Planned("square", "red", True), Planned("square", "blue", False)]
        big, small = sorted(
            scenes.scene(rng, icons, planned).things, key=lambda thing: not thing.is_big
        )
        assert big.box.right - big.box.left > 1.25 * (small.box.right - small.box.left)


def test_shapes_stand_out_from_their_background(icons):
    rng = random.Random(4)
    for colour in ("white", "black", "grey", "yellow"):
        ground = np.asarray(scenes.blank(rng, {colour}, 30, 30)).reshape(-1, 3)
        distance = np.linalg.norm(ground - np.array(COLOURS[colour]), axis=1)
        assert np.median(distance) > CLEAR_CONTRAST / 2


def test_a_shape_has_the_colour_that_is_told(icons):
    rng = random.Random(5)
    for colour in ("red", "blue", "green"):
        seen = scenes.scene(rng, icons, [Planned("circle", colour)])
        box = seen.things[0].box
        height, width = seen.pixels.shape[:2]
        middle = seen.pixels[int(box.y * height), int(box.x * width)].astype(int)
        assert int(middle.argmax()) == {"red": 0, "green": 1, "blue": 2}[colour]


def test_plans_show_icons_shapes_and_crowds_of_one_kind(icons):
    rng = random.Random(6)
    plans = [scenes.plan(rng, icons, 4) for _ in range(60)]
    kinds = [{thing.name in figures.SHAPES for thing in plan if thing.colour} for plan in plans]
    assert {True} in kinds
    assert any(len({thing.name for thing in plan}) == 1 for plan in plans)
    assert any(all(thing.colour is None for thing in plan) for plan in plans)


def test_things_are_named_with_their_colour_if_they_have_one():
    assert scenes.plain_name(Planned("cat")) == "cat"
    assert scenes.plain_name(Planned("ring", "pink")) == "pink ring"
