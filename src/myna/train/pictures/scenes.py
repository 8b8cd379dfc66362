"""Scenes: pictures of which every thing is known, with its name, colour and place.

Not here: what is asked about them (`questions`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from myna.train.examples import Pixels
from myna.train.pictures import canvas, figures
from myna.train.pictures.canvas import COLOURS, Box, Rgb
from myna.train.pictures.icons import Icons, Rgba
from myna.train.pictures.photographs import Photographs

MIN_SIDE_PX, MAX_SIDE_PX = 104, 192  # of a picture; it is brought to nano's size afterwards
UPRIGHT = frozenset({"thumbs up", "thumbs down", "arrow"})  # mean another thing upside down
HARDLY_TURNED = frozenset({"square", "diamond", "rectangle", "oval", "cross", "arrow"})
MANY = 4
MIN_ICON_PX = 40  # of a lone icon; a smaller one has lost what tells it from others
PRIMER_PX = 64  # two tokens a side
GROUND_SHARE = 0.15
BASES_TRIED = 12
BIG, SMALL = (0.8, 1.0), (0.4, 0.55)  # shares of a cell, so far apart that no one can doubt it


@dataclass(frozen=True)
class Thing:
    """Hold something that can be seen.

    Attributes:
        name: of the icon or shape.
        colour: of a shape; icons have many.
        box: where it is.
        is_big: against the other things of its scene.
    """

    name: str
    colour: str | None
    box: Box
    is_big: bool


@dataclass(frozen=True)
class Scene:
    """Hold a picture and what is in it, from left to right."""

    pixels: Pixels
    things: tuple[Thing, ...]


@dataclass(frozen=True)
class Planned:
    """Hold a thing that is to be drawn: `colour` is None for icons."""

    name: str
    colour: str | None = None
    is_big: bool = True


def lone(
    rng: random.Random,
    icons: Icons,
    *,
    name: str | None = None,
    sides_px: tuple[int, int] = (MIN_SIDE_PX, MAX_SIDE_PX),
    grounds: Photographs | None = None,
) -> Scene:
    """Show one icon, large or small, anywhere, turned, on any background.

    Args:
        rng: draws all that.
        icons: to choose from.
        name: to show; any if None.
        sides_px: the smallest and largest side of the picture.
        grounds: photographs, some of which are used as backgrounds.
    """
    name = name or rng.choice(icons.names)
    width, height = (rng.randint(*sides_px) for _ in range(2))
    if grounds is not None and rng.random() < GROUND_SHARE:
        image = grounds.draw(rng, width, height)
    else:
        image = blank(rng, None, width, height)
    side_px = max(rng.uniform(0.42, 1.0) * min(image.size), min(MIN_ICON_PX, *image.size))
    x, y = (_somewhere(rng, extent, side_px) for extent in image.size)
    drawn, angle = canvas.tint(rng, icons.draw(rng, name)), _angle(rng, name)
    box = _put(rng, image, drawn, name, centre=(x, y), side_px=side_px, angle=angle)
    return Scene(canvas.wear(rng, image), (Thing(name, None, box, True),))


def primer(rng: random.Random, icons: Icons, *, ease: float) -> Scene:
    """Show one icon to a beginner.

    At first it fills a picture of `PRIMER_PX` exactly, upright and on one colour, so that each
    patch shows the same part of it every time; as ease falls, it strays, shrinks and turns.

    Args:
        rng: draws it.
        icons: to choose from.
        ease: 1 for a beginner; at 0, icons differ as much as in `lone`.
    """
    hard = 1.0 - ease
    name = rng.choice(icons.names)
    width, height = (round(PRIMER_PX * (1 + hard * rng.uniform(-0.1, 0.6))) for _ in range(2))
    is_plain = rng.random() < ease
    image = blank(rng, None, width, height)
    if is_plain:
        image = Image.new("RGB", (width, height), _base(rng))
    side_px = min(width, height) * (1 - hard * rng.uniform(0, 0.4))
    x, y = (
        extent / 2 + hard * (_somewhere(rng, extent, side_px) - extent / 2) for extent in image.size
    )
    drawn = icons.draw(rng, name)
    box = canvas.paste(
        image,
        drawn if is_plain else canvas.tint(rng, drawn),
        centre=(x, y),
        side_px=side_px,
        angle=hard * _angle(rng, name),
        stretch=1 + hard * rng.uniform(-0.15, 0.18),
        flip=name not in UPRIGHT and rng.random() < 0.5 * hard,
    )
    pixels = np.asarray(image) if is_plain else canvas.wear(rng, image)
    return Scene(pixels, (Thing(name, None, box, True),))


def plan(rng: random.Random, icons: Icons, count: int) -> list[Planned]:
    """Choose things for a scene: all different, alike, or of one kind; icons, shapes or both."""
    kind = rng.random()
    # Small ones among many would be too small to know.
    is_big = [count > MANY or rng.random() < 0.6 for _ in range(count)]
    if kind < 0.2:  # the same over and over, and one more kind at most
        pair = [_any(rng, icons), _any(rng, icons)]
        return [Planned(*pair[rng.random() < 0.25], is_big=big) for big in is_big]
    if kind < 0.45:
        return [
            Planned(rng.choice(figures.SHAPES), rng.choice(list(COLOURS)), big) for big in is_big
        ]
    if kind < 0.75:
        return [
            Planned(name, None, big)
            for name, big in zip(_names(rng, icons, count), is_big, strict=True)
        ]
    return [Planned(*_any(rng, icons), is_big=big) for big in is_big]


def scene(rng: random.Random, icons: Icons, planned: Sequence[Planned]) -> Scene:
    """Draw things at places that do not overlap."""
    colours = {thing.colour for thing in planned if thing.colour}
    image = blank(rng, colours)
    columns, rows = _grid(rng, len(planned), image)
    cells = rng.sample([(x, y) for x in range(columns) for y in range(rows)], len(planned))
    wide, high = image.width / columns, image.height / rows
    things = []
    for thing, (column, row) in zip(planned, cells, strict=True):
        side_px = rng.uniform(*(BIG if thing.is_big else SMALL)) * min(wide, high)
        centre = (
            (column + 0.5) * wide + rng.uniform(-0.5, 0.5) * (wide - side_px),
            (row + 0.5) * high + rng.uniform(-0.5, 0.5) * (high - side_px),
        )
        angle = rng.gauss(0, 4 if thing.name in HARDLY_TURNED else 9)
        drawn = draw(rng, icons, thing)
        box = _put(rng, image, drawn, thing.name, centre=centre, side_px=side_px, angle=angle)
        things.append(Thing(thing.name, thing.colour, box, thing.is_big))
    things.sort(key=lambda thing: thing.box.x)
    return Scene(canvas.wear(rng, image, strength=0.6), tuple(things))


def plain_name(thing: Planned) -> str:
    """Name a thing without an article: "cat", "red square"."""
    return thing.name if thing.colour is None else f"{thing.colour} {thing.name}"


def draw(rng: random.Random, icons: Icons, thing: Planned) -> Rgba:
    """Draw an icon, or a shape in one of the shades of its colour."""
    if thing.colour is None:
        return canvas.tint(rng, icons.draw(rng, thing.name), strength=0.5)
    return figures.draw(thing.name, canvas.shade(rng, thing.colour))


def _put(
    rng: random.Random,
    image: Image.Image,
    drawn: Rgba,
    name: str,
    *,
    centre: tuple[float, float],
    side_px: float,
    angle: float,
) -> Box:
    return canvas.paste(
        image,
        drawn,
        centre=centre,
        side_px=side_px,
        angle=angle,
        stretch=1.0 if name in figures.SHAPES else rng.uniform(0.85, 1.18),
        flip=name not in UPRIGHT and rng.random() < 0.5,
    )


def _any(rng: random.Random, icons: Icons) -> tuple[str, str | None]:
    if rng.random() < 0.5:
        return rng.choice(icons.names), None
    return rng.choice(figures.SHAPES), rng.choice(list(COLOURS))


def _names(rng: random.Random, icons: Icons, count: int) -> list[str]:
    return rng.sample(icons.names, count)


def blank(
    rng: random.Random,
    colours: set[str] | None,
    width: int | None = None,
    height: int | None = None,
) -> Image.Image:
    """Make a background.

    Args:
        rng: draws it.
        colours: of shapes, none of which shall vanish in it.
        width: in pixels, drawn if None.
        height: in pixels, drawn if None.
    """
    width = width or rng.randint(MIN_SIDE_PX, MAX_SIDE_PX)
    height = height or rng.randint(MIN_SIDE_PX, MAX_SIDE_PX)
    if colours is None:
        return canvas.background(rng, width, height)
    best: tuple[float, Rgb] = (-1.0, (255, 255, 255))
    for _ in range(BASES_TRIED):
        base = _base(rng)
        nearest = min((canvas.contrast(base, COLOURS[name]) for name in colours), default=256.0)
        best = max(best, (nearest, base))
        if nearest > canvas.CLEAR_CONTRAST:
            break
    return canvas.background(rng, width, height, best[1] if colours else None)


def _base(rng: random.Random) -> Rgb:
    kind = rng.random()
    if kind < 0.2:
        return (rng.randint(225, 255),) * 3
    if kind < 0.3:
        return (rng.randint(0, 30),) * 3
    return (rng.randrange(256), rng.randrange(256), rng.randrange(256))


def _grid(rng: random.Random, count: int, image: Image.Image) -> tuple[int, int]:
    """Choose columns and rows that hold so many things."""
    fitting = [
        (columns, rows)
        for columns in range(1, 4)
        for rows in range(1, 4)
        if count <= columns * rows <= max(count + 2, 2 * count) and (columns, rows) != (1, 1)
    ]
    return rng.choice(fitting) if count > 1 or rng.random() < 0.7 else (1, 1)


def _somewhere(rng: random.Random, extent: int, side_px: float) -> float:
    """Choose the middle of a thing, of which a tenth may stick out."""
    room = max(0.0, extent - 0.8 * side_px)
    return extent / 2 + rng.uniform(-0.5, 0.5) * room


def _angle(rng: random.Random, name: str) -> float:
    kind = rng.random()
    if kind < 0.3 or name in UPRIGHT:
        return rng.gauss(0, 8)
    return rng.uniform(-45, 45) if kind < 0.75 else rng.uniform(-180, 180)
