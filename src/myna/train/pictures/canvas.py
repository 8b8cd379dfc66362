"""Put drawings on backgrounds, and wear pictures as cameras and compression do.

Everything is drawn from a `random.Random`, so a seed gives the same pixels everywhere.
"""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from myna.train.examples import Pixels
from myna.train.pictures.icons import ICON_PX, Rgba

Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (220, 40, 40),
    "orange": (246, 140, 20),
    "yellow": (248, 218, 40),
    "green": (50, 160, 60),
    "blue": (40, 90, 215),
    "purple": (130, 55, 175),
    "pink": (248, 140, 185),
    "brown": (125, 78, 40),
    "black": (24, 24, 26),
    "white": (244, 244, 242),
    "grey": (135, 136, 138),
}
COLOUR_JITTER = 14
CLEAR_ALPHA = 40  # from which on a pixel of a drawing can be seen
CLEAR_CONTRAST = 90.0  # of two colours that no one takes for one another, in levels


@dataclass(frozen=True)
class Box:
    """Hold a rectangle in shares of the picture's width and height."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def x(self) -> float:
        """Give the middle."""
        return (self.left + self.right) / 2

    @property
    def y(self) -> float:
        """Give the middle."""
        return (self.top + self.bottom) / 2


def shade(rng: random.Random, colour: str) -> Rgb:
    """Draw one of the shades that bear a colour's name."""
    red, green, blue = (
        min(255, max(0, level + rng.randint(-COLOUR_JITTER, COLOUR_JITTER)))
        for level in COLOURS[colour]
    )
    return red, green, blue


def contrast(one: Rgb, other: Rgb) -> float:
    """Tell how far apart two colours are, in levels."""
    return math.dist(one, other)


def background(rng: random.Random, width: int, height: int, base: Rgb | None = None) -> Image.Image:
    """Make a picture of nothing: one colour, a gradient, clouds, tiles or stripes.

    Args:
        rng: draws it.
        width: in pixels.
        height: in pixels.
        base: all of it stays near this colour; any colours if None.
    """
    kind = rng.random()
    if base is None and kind < 0.2:
        base = rng.choice(((255, 255, 255), (0, 0, 0), (rng.randint(180, 255),) * 3))
    if kind < 0.4:
        return Image.new("RGB", (width, height), base or _any_colour(rng))
    rows, columns = {0: (2, 2), 1: (4, 4), 2: (7, 7), 3: (1, 9), 4: (9, 1)}[rng.randrange(5)]
    levels = np.random.default_rng(rng.getrandbits(32))
    if base is None:
        grid = levels.integers(0, 256, (rows, columns, 3))
        if rng.random() < 0.5:  # two colours alone
            grid = np.where(levels.random((rows, columns, 1)) < 0.5, grid[0, 0], grid[-1, -1])
    else:
        grid = np.array(base) + levels.integers(-26, 27, (rows, columns, 3))
    small = Image.fromarray(np.clip(grid, 0, 255).astype(np.uint8))
    smooth = kind < 0.8
    filtered = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return small.resize((width, height), filtered)


def paste(
    canvas: Image.Image,
    drawn: Rgba,
    *,
    centre: tuple[float, float],
    side_px: float,
    angle: float = 0.0,
    stretch: float = 1.0,
    flip: bool = False,
) -> Box:
    """Put a drawing on a canvas, and tell where its visible part landed.

    Args:
        canvas: is changed.
        drawn: square.
        centre: of the drawing, in pixels of the canvas.
        side_px: of the drawing before it is turned.
        angle: in degrees, counter-clockwise.
        stretch: width against height.
        flip: swaps left and right.
    """
    image = Image.fromarray(drawn)
    if side_px <= ICON_PX * 0.6:
        image = image.reduce(2)
    turn = math.radians(angle)
    wide, high = side_px * math.sqrt(stretch), side_px / math.sqrt(stretch)
    reach_x = abs(wide * math.cos(turn)) + abs(high * math.sin(turn))
    reach_y = abs(wide * math.sin(turn)) + abs(high * math.cos(turn))
    size = (max(2, round(reach_x)), max(2, round(reach_y)))
    # From a pixel of the pasted part back to one of the drawing.
    scale_x, scale_y = image.width / wide, image.height / high
    if flip:
        scale_x = -scale_x
    a, b = scale_x * math.cos(turn), -scale_x * math.sin(turn)
    d, e = scale_y * math.sin(turn), scale_y * math.cos(turn)
    c = image.width / 2 - a * size[0] / 2 - b * size[1] / 2
    f = image.height / 2 - d * size[0] / 2 - e * size[1] / 2
    made = image.transform(
        size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR
    )
    left, top = round(centre[0] - size[0] / 2), round(centre[1] - size[1] / 2)
    canvas.paste(made, (left, top), made)
    return _seen(made, left, top, canvas)


def _seen(made: Image.Image, left: int, top: int, canvas: Image.Image) -> Box:
    """Give the box of what is not transparent."""
    is_seen = np.asarray(made)[..., 3] > CLEAR_ALPHA
    rows, columns = (np.flatnonzero(is_seen.any(axis)) for axis in (1, 0))
    if not len(rows):
        rows, columns = np.array([0, made.height - 1]), np.array([0, made.width - 1])
    return Box(
        max(0.0, float(left + columns[0]) / canvas.width),
        max(0.0, float(top + rows[0]) / canvas.height),
        min(1.0, float(left + columns[-1] + 1) / canvas.width),
        min(1.0, float(top + rows[-1] + 1) / canvas.height),
    )


def tint(rng: random.Random, drawn: Rgba, *, strength: float = 1.0) -> Rgba:
    """Change a drawing's colours as another draughtsman would: a little, seldom a lot."""
    kind = rng.random()
    if kind > 0.6 * strength:
        return drawn
    colours = drawn[..., :3].astype(np.float32)
    if kind < 0.08:
        colours = np.repeat(colours.mean(-1, keepdims=True), 3, axis=-1)
    gains = np.array([rng.uniform(0.65, 1.3) for _ in range(3)], np.float32)
    lift = rng.uniform(-35, 45)
    made = drawn.copy()
    made[..., :3] = np.clip(colours * gains + lift, 0, 255)
    return made


def wear(rng: random.Random, image: Image.Image, *, strength: float = 1.0) -> Pixels:
    """Make a picture look as if it had been taken, sent and saved: light, blur, grain, JPEG."""
    if rng.random() < 0.25 * strength:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.3)))
    if rng.random() < 0.25 * strength:
        held = io.BytesIO()
        image.save(held, "JPEG", quality=rng.randint(25, 90))
        image = Image.open(held)
    pixels = np.asarray(image.convert("RGB"))
    if rng.random() < 0.5 * strength:
        gain, lift = rng.uniform(0.7, 1.15), rng.uniform(-20, 25)
        levels = np.clip(np.arange(256) * gain + lift, 0, 255).astype(np.uint8)
        pixels = levels[pixels]
    if rng.random() < 0.35 * strength:
        start = rng.randrange(len(_grain()) - pixels.size)
        grain = _grain()[start : start + pixels.size].reshape(pixels.shape)
        noisy = pixels + grain * rng.uniform(2, 14)
        pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return pixels


def _any_colour(rng: random.Random) -> Rgb:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


@cache
def _grain() -> NDArray[np.float32]:
    """Give noise to take pieces of; drawing it anew costs more than all the rest."""
    return np.random.default_rng(5).standard_normal(1 << 20, dtype=np.float32)
