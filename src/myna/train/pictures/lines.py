"""Lines of text, written in many fonts, and where each character lies."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from myna.train.examples import Pixels
from myna.train.language.words import domain
from myna.train.pictures import canvas
from myna.train.pictures.canvas import Box, Rgb
from myna.train.pictures.fonts import Fonts
from myna.train.pictures.names import NAMES

ALPHABET = string.ascii_lowercase + string.ascii_uppercase + string.digits + " .,:-/!?'&+#%"
MIN_CHARACTERS, MAX_CHARACTERS = 2, 24
PRIMER_LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits
MAX_SIGN = 10  # characters; more would be too small in a square picture
SIZES_PX = (20, 24, 28, 32, 38, 44)  # few, because each is a font of its own in memory
MIN_CONTRAST = 110.0
CELL_PX = 32  # the side of a token
PRIMER_FONT_PX = 28


@dataclass(frozen=True)
class Line:
    """Hold a picture of a line.

    Attributes:
        pixels: the picture.
        text: what is written.
        box: around it.
        centres: of each character, as shares of the picture's width.
    """

    pixels: Pixels
    text: str
    box: Box
    centres: tuple[float, ...]


def line(rng: random.Random, fonts: Fonts, text: str | None = None) -> Line:
    """Write a line near the middle of a picture that is little or much larger."""
    text = text or some_text(rng)
    font = fonts.draw(rng, rng.choice(SIZES_PX))
    places = [font.getlength(text[:i]) for i in range(len(text) + 1)]
    left, top, right, bottom = font.getbbox(text)
    width, height = max(right, places[-1]) - min(0, left), bottom - top
    margin = height * rng.uniform(0.15, 0.8)
    image_width = round(width + 2 * margin + rng.expovariate(1 / margin))
    image_height = round(height + 2 * margin)
    if len(text) <= MAX_SIGN and rng.random() < 0.4:  # much room above and below
        image_height = round(max(image_height, image_width * rng.uniform(0.3, 0.9)))
    paper, ink = _paper_and_ink(rng)
    image = canvas.background(rng, image_width, image_height, paper)
    x = margin * 0.7 + rng.random() * (image_width - width - 1.4 * margin)
    y = (image_height - height) * rng.uniform(0.3, 0.7)
    ImageDraw.Draw(image).text((x, y - top), text, fill=ink, font=font)
    tilt = rng.gauss(0, 1.0) if rng.random() < 0.5 else 0.0
    image = image.rotate(tilt, Image.Resampling.BILINEAR, fillcolor=paper)
    middles = [(start + end) / 2 for start, end in pairwise(places)]
    return Line(
        pixels=canvas.wear(rng, image, strength=0.7),
        text=text,
        box=Box(
            (x + left) / image_width,
            y / image_height,
            (x + right) / image_width,
            (y + height) / image_height,
        ),
        centres=tuple((x + middle) / image_width for middle in middles),
    )


def primer(rng: random.Random, fonts: Fonts, *, ease: float) -> Line:
    """Write a few characters for a beginner.

    At first each has a square of `CELL_PX` to itself, which is a token; as ease falls, they close
    up to where the font wants them, and stray.

    Args:
        rng: draws them.
        fonts: to write with.
        ease: 1 for a beginner, down to 0.
    """
    hard = 1.0 - ease
    count = rng.randint(4, 8)
    words = f"{rng.choice(vocabulary())} {rng.choice(vocabulary())}"[:count].strip()
    letters = "".join(rng.choice(PRIMER_LETTERS) for _ in range(count))
    text = words if rng.random() < 0.5 else letters
    font = fonts.draw(rng, PRIMER_FONT_PX)
    pitches = [ease * CELL_PX + hard * font.getlength(character) for character in text]
    start = hard * rng.uniform(0, CELL_PX)
    places = [start + sum(pitches[:i]) for i in range(len(text) + 1)]
    width = round(places[-1] + hard * rng.uniform(0, CELL_PX))
    height = round(CELL_PX * (1 + hard * rng.uniform(0, 0.8)))
    paper, ink = _paper_and_ink(rng)
    image = Image.new("RGB", (width, height), paper)
    ground = 0.78 * CELL_PX + rng.uniform(0, height - CELL_PX)  # the letters' feet stand on it
    middles = [(left + right) / 2 for left, right in pairwise(places)]
    write = ImageDraw.Draw(image)
    for character, middle in zip(text, middles, strict=True):
        write.text((middle, ground), character, fill=ink, font=font, anchor="ms")
    return Line(
        pixels=np.asarray(image),
        text=text,
        box=Box(start / width, 0.0, places[-1] / width, 1.0),
        centres=tuple(middle / width for middle in middles),
    )


def some_text(rng: random.Random) -> str:
    """Think of something to write: words, numbers, times, codes."""
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    text = kind(rng)[:MAX_CHARACTERS].strip()
    case = rng.random()
    if case < 0.2:
        text = text.upper()
    elif case < 0.35:
        text = text[:1].upper() + text[1:]
    return text if len(text) >= MIN_CHARACTERS else some_text(rng)


def _words(rng: random.Random) -> str:
    count = rng.choices((1, 2, 3, 4, 5), (3, 4, 4, 2, 1))[0]
    return " ".join(rng.choice(vocabulary()) for _ in range(count))


def _number(rng: random.Random) -> str:
    number = rng.randrange(10 ** rng.randint(2, 7))
    return rng.choice((f"{number}", f"{number:,}", f"{number / 100:.2f}", f"{number % 101}%"))


def _time(rng: random.Random) -> str:
    hour, minute = rng.randrange(24), rng.randrange(60)
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1900, 2099)
    return rng.choice((f"{hour}:{minute:02}", f"{year}-{month:02}-{day:02}", f"{day}/{month}"))


def _code(rng: random.Random) -> str:
    letters = rng.choice((string.ascii_uppercase, string.ascii_lowercase, string.digits))
    mixed = letters + string.digits
    groups = (
        "".join(rng.choice(mixed) for _ in range(rng.randint(2, 5)))
        for _ in range(rng.randint(1, 4))
    )
    return rng.choice((" ", "-", "/")).join(groups)


def _letters(rng: random.Random) -> str:
    return "".join(rng.choice(ALPHABET) for _ in range(rng.randint(3, 16)))


def _sentence(rng: random.Random) -> str:
    return _words(rng)[: MAX_CHARACTERS - 1] + rng.choice(".!?,:")


KINDS: dict[Callable[[random.Random], str], float] = {
    _words: 5.0,
    _number: 1.5,
    _time: 0.7,
    _code: 1.2,
    _letters: 0.8,
    _sentence: 0.8,
}


@cache
def vocabulary() -> tuple[str, ...]:
    """List the words and names that lines are made of."""
    return tuple(dict.fromkeys((*domain(), *NAMES)))


def _paper_and_ink(rng: random.Random) -> tuple[Rgb, Rgb]:
    if rng.random() < 0.35:
        dark, light = (rng.randint(0, 60),) * 3, (rng.randint(215, 255),) * 3
        return (light, dark) if rng.random() < 0.8 else (dark, light)
    while True:
        paper, ink = (
            (rng.randrange(256), rng.randrange(256), rng.randrange(256)) for _ in range(2)
        )
        brightness = abs(sum(paper) - sum(ink)) / 3
        if brightness > MIN_CONTRAST * 0.6 and canvas.contrast(paper, ink) > MIN_CONTRAST:
            return paper, ink
