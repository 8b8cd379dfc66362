"""Photographs: what nano was not taught to name, and grounds to put icons on.

Cuttings of the wallpapers that Debian packages install are kept as arrays on disk; fields with the
statistics of photographs are made on the spot.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from myna.train.examples import Pixels
from myna.train.workshop import folder

SIDE_PX = 128
NUM_CUTTINGS = 30  # of a photograph
FILE = "photographs.npy"
WALLPAPERS = Path("/usr/share/backgrounds")
# Debian packages mate-backgrounds, lomiri-wallpapers-16.04 and -20.04, ukui-wallpapers; drawings
# stay out.
GLOBS = ("mate/nature/*.jpg", "*_by_*.jpg", "calla.png", "the-mouse.jpg")
MIN_ROUGHNESS = 9.0  # levels between neighbours and their mean: smoother cuttings show nothing


@dataclass(frozen=True)
class Photographs:
    """Hold cuttings: (N, SIDE_PX, SIDE_PX, 3) uint8."""

    pixels: NDArray[np.uint8]

    def draw(self, rng: random.Random, width: int, height: int) -> Image.Image:
        """Give a cutting, turned over or not, in any size."""
        cutting = Image.fromarray(self.pixels[rng.randrange(len(self.pixels))])
        if rng.random() < 0.5:
            cutting = cutting.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        left, top = (rng.uniform(0, SIDE_PX * 0.3) for _ in range(2))
        right, bottom = (rng.uniform(SIDE_PX * 0.7, SIDE_PX) for _ in range(2))
        box = (left, top, right, bottom)
        return cutting.resize((width, height), Image.Resampling.BICUBIC, box)


def cut(where: Path = WALLPAPERS, to: Path | None = None) -> int:
    """Cut the photographs that are installed; give how many cuttings were kept.

    Args:
        where: the wallpapers lie.
        to: a folder; the workshop's if None.

    Raises:
        FileNotFoundError: there are none.
    """
    files = sorted(path for pattern in GLOBS for path in where.glob(pattern))
    if not files:
        raise FileNotFoundError(
            f"no photographs in {where}; apt-get install mate-backgrounds lomiri-wallpapers-16.04 "
            "lomiri-wallpapers-20.04 ukui-wallpapers"
        )
    rng = random.Random(0)
    kept = [made for path in files for made in _cuttings(rng, path)]
    np.save((to or folder("photographs")) / FILE, np.stack(kept))
    return len(kept)


def load(where: Path | None = None) -> Photographs:
    """Read the cuttings.

    Raises:
        FileNotFoundError: the stage `icons` has not run.
    """
    path = (where or folder("photographs")) / FILE
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; run the stage 'icons' first.")
    return Photographs(np.load(path))


def field(rng: random.Random, width: int, height: int) -> Image.Image:
    """Make a field whose detail falls off with scale as it does in photographs."""
    levels = np.random.default_rng(rng.getrandbits(32))
    total = np.zeros((height, width, 3), np.float32)
    colours = levels.normal(0, 1, (3, 3)) * 0.5 + np.eye(3)
    weight, side = 1.0, rng.choice((2, 3, 4))
    fall = rng.uniform(0.45, 0.75)
    while side < max(width, height):
        grain = levels.integers(0, 256, (side, side, 3), np.uint8)
        drawn = Image.fromarray(grain).resize((width, height), Image.Resampling.BICUBIC)
        total += weight * (np.asarray(drawn, np.float32) - 128)
        weight, side = weight * fall, side * 2
    spread = total.std() + 1e-6
    painted = (total / spread) @ colours * rng.uniform(30, 60) + levels.uniform(70, 180, 3)
    return Image.fromarray(np.clip(painted, 0, 255).astype(np.uint8))


def _cuttings(rng: random.Random, path: Path) -> list[Pixels]:
    with Image.open(path) as image:
        image.draft("RGB", (1600, 1600))
        whole = image.convert("RGB")
    made = []
    for i in range(NUM_CUTTINGS):
        side = min(whole.size) * (1.0 if i == 0 else rng.uniform(0.15, 1.0))
        left, top = rng.uniform(0, whole.width - side), rng.uniform(0, whole.height - side)
        box = (left, top, left + side, top + side)
        cutting = whole.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, box, reducing_gap=3)
        pixels = np.asarray(cutting)
        if pixels.astype(np.float32).std(axis=(0, 1)).mean() > MIN_ROUGHNESS:
            made.append(pixels)
    return made
