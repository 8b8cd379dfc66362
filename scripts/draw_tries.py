"""Draw what the web app's empty screen offers to try: a picture, a clip and a line of text.

python scripts/draw_tries.py webapp/public/tries
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

SIDE = 320
PAPER, INK, SAFFRON = (251, 250, 247), (20, 22, 26), (242, 169, 0)
RED, BLUE = (205, 60, 50), (50, 95, 190)
FPS = 8
NUM_FRAMES = 24


def star(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    """Draw a red star of five points."""
    points = []
    for turn in range(10):
        reach = radius if turn % 2 == 0 else radius * 0.4
        angle = math.pi * turn / 5
        points.append((x + reach * math.sin(angle), y - reach * math.cos(angle)))
    draw.polygon(points, fill=RED)


def main(folder: Path) -> None:
    """Write all three."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (SIDE, SIDE), PAPER)
    draw = ImageDraw.Draw(picture)
    star(draw, SIDE * 0.3, SIDE * 0.3, SIDE * 0.2)
    draw.rectangle((SIDE * 0.55, SIDE * 0.55, SIDE * 0.9, SIDE * 0.9), fill=BLUE)
    picture.save(folder / "picture.png", optimize=True)

    line = Image.new("RGB", (SIDE * 2, 80), PAPER)
    font = ImageFont.load_default(44)
    ImageDraw.Draw(line).text((24, 12), "hello from the machine", fill=INK, font=font)
    line.save(folder / "line.png", optimize=True)

    with av.open(folder / "clip.mp4", "w") as file:
        stream = file.add_stream("libx264", rate=FPS)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for number in range(NUM_FRAMES):
            still = Image.new("RGB", (SIDE, SIDE), PAPER)
            x = SIDE * (0.15 + 0.7 * number / (NUM_FRAMES - 1))
            place = (x - 40, SIDE / 2 - 40, x + 40, SIDE / 2 + 40)
            ImageDraw.Draw(still).ellipse(place, fill=SAFFRON)
            file.mux(stream.encode(av.VideoFrame.from_image(still)))
        file.mux(stream.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
