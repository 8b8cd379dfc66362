"""Plain shapes in one colour, drawn like icons."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from myna.train.pictures.canvas import Rgb
from myna.train.pictures.icons import ICON_PX, Rgba

FINE = 4  # shapes are drawn so many times larger, then reduced, for smooth edges
Points = list[tuple[float, float]]  # in the square from 0 to 1, y down

ROUND: dict[str, Points] = {  # corners of the ellipse's box
    "circle": [(0.04, 0.04), (0.96, 0.96)],
    "oval": [(0.02, 0.22), (0.98, 0.78)],
    "ring": [(0.04, 0.04), (0.96, 0.96)],
    "crescent": [(0.04, 0.04), (0.96, 0.96)],
}
CUT: dict[str, Points] = {  # an ellipse that is taken away again
    "ring": [(0.27, 0.27), (0.73, 0.73)],
    "crescent": [(0.3, -0.02), (1.1, 0.78)],
}


def _regular(count: int, *, inner: float | None = None, turn: float = 0.0) -> Points:
    """Give the corners of a regular polygon, or of a star if `inner` is the radius between them."""
    steps = count if inner is None else 2 * count
    points = []
    for i in range(steps):
        radius = 0.5 if inner is None or i % 2 == 0 else inner
        angle = 2 * math.pi * i / steps + turn
        points.append((0.5 + radius * math.sin(angle), 0.52 - radius * math.cos(angle)))
    return points


def _heart() -> Points:
    points = []
    for i in range(60):
        t = 2 * math.pi * i / 60
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((0.5 + x / 34, 0.46 - y / 34))
    return points


POLYGONS: dict[str, Points] = {
    "square": [(0.08, 0.08), (0.92, 0.08), (0.92, 0.92), (0.08, 0.92)],
    "triangle": [(0.5, 0.06), (0.97, 0.9), (0.03, 0.9)],
    "star": _regular(5, inner=0.2),
    "heart": _heart(),
    "diamond": [(0.5, 0.02), (0.86, 0.5), (0.5, 0.98), (0.14, 0.5)],
    "cross": [
        *[(0.34, 0.04), (0.66, 0.04), (0.66, 0.34), (0.96, 0.34), (0.96, 0.66), (0.66, 0.66)],
        *[(0.66, 0.96), (0.34, 0.96), (0.34, 0.66), (0.04, 0.66), (0.04, 0.34), (0.34, 0.34)],
    ],
    "rectangle": [(0.02, 0.26), (0.98, 0.26), (0.98, 0.74), (0.02, 0.74)],
    "pentagon": _regular(5),
    "hexagon": _regular(6, turn=math.pi / 6),
    "arrow": [
        *[(0.02, 0.38), (0.55, 0.38), (0.55, 0.14), (0.98, 0.5)],
        *[(0.55, 0.86), (0.55, 0.62), (0.02, 0.62)],
    ],
}
SHAPES: tuple[str, ...] = (*ROUND, *POLYGONS)


def draw(shape: str, colour: Rgb) -> Rgba:
    """Draw a shape; the arrow points to the right."""
    made = np.empty((ICON_PX, ICON_PX, 4), np.uint8)
    made[..., :3] = colour
    made[..., 3] = _mask(shape)
    return made


@cache
def _mask(shape: str) -> Rgba:
    side = ICON_PX * FINE
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    if shape in ROUND:
        pen.ellipse(_scaled(ROUND[shape], side), fill=255)
        if shape in CUT:
            pen.ellipse(_scaled(CUT[shape], side), fill=0)
    else:
        pen.polygon(_scaled(POLYGONS[shape], side), fill=255)
    return np.asarray(mask.reduce(FINE))


def _scaled(points: Points, side: int) -> Points:
    return [(x * side, y * side) for x, y in points]
