"""Pictures in a terminal: two pixels to a character, one above the other."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UPPER_HALF = "▀"
PLAIN = "\033[0m"
WHITE = (255, 255, 255)


def show_file(path: Path, *, columns: int) -> str:
    """Draw a picture of our own; others' files are never decoded in this process."""
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        picture = image.convert("RGBA")
    ground = Image.new("RGBA", picture.size, (*WHITE, 255))
    ground.alpha_composite(picture)
    rows = max(1, round(picture.height * columns / picture.width / 2)) * 2
    return draw(np.asarray(ground.convert("RGB").resize((columns, rows))))


def draw(pixels: NDArray[np.uint8]) -> str:
    """Write (rows, columns, 3) pixels as coloured characters; an odd last row is left out."""
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=False):
        cells = (
            f"\033[38;2;{_triple(above)};48;2;{_triple(below)}m{UPPER_HALF}"
            for above, below in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + PLAIN)
    return "\n".join(lines)


def _triple(colour: NDArray[np.uint8]) -> str:
    return ";".join(str(int(part)) for part in colour)
