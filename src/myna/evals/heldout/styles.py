"""A style of icons that training has never seen, and photographs of another source."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import numpy as np
from PIL import Image

from myna.core.errors import Unavailable
from myna.train import workshop
from myna.train.examples import Pixels
from myna.train.pictures.icons import Icons, Style, fetch, load, save
from myna.train.stages.icons import draw

STYLE = "noto"
SOURCE = Style("@iconify-json/noto@1.2.9", "Apache-2.0")
FOLDER = "icons-heldout"
# Of the package scikit-image: in the public domain or free to use, as its data/README.txt says.
PHOTOGRAPHS = ("astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png")
MORE_PHOTOGRAPHS = ("camera.png", "coins.png", "motorcycle_left.png", "rocket.jpg")


def icons() -> Icons:
    """Read the style; it is fetched and rendered the first time."""
    where = workshop.folder(FOLDER)
    if not (where / f"{STYLE}.json").exists():
        save(STYLE, fetch(SOURCE, where / "packages"), draw, where)
    return load((STYLE,), where)


def photograph(rng: random.Random) -> Pixels:
    """Give a large part of a photograph.

    Raises:
        Unavailable: scikit-image, which holds them, is not installed.
    """
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise Unavailable(
            "the photographs of the evaluation lie in scikit-image, which is not installed; run "
            "`pip install scikit-image`."
        )
    name = rng.choice((*PHOTOGRAPHS, *MORE_PHOTOGRAPHS))
    with Image.open(Path(spec.origin).parent / "data" / name) as image:
        whole = image.convert("RGB")
    side = min(whole.size) * rng.uniform(0.6, 1.0)
    left, top = rng.uniform(0, whole.width - side), rng.uniform(0, whole.height - side)
    part = whole.resize((256, 256), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    return np.asarray(part)
