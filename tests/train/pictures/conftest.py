"""A studio that needs no downloads: icons that are plain figures, fonts that Pillow brings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import ImageFont

from myna.train.pictures import figures
from myna.train.pictures.asking import Studio
from myna.train.pictures.fonts import Fonts
from myna.train.pictures.icons import Icons

NAMES = ("cat", "dog", "apple", "milk", "car", "tree", "key", "bell", "hat", "moon", "bee", "pig")


class OneFont(Fonts):
    """Write in the font inside Pillow."""

    def draw(self, rng, size_px):
        return ImageFont.load_default(size_px)


@pytest.fixture(scope="session")
def icons() -> Icons:
    looks = [
        figures.draw(shape, (20 * i, 255 - 20 * i, 90))
        for i, shape in enumerate(figures.SHAPES[: len(NAMES)])
    ]
    return Icons(np.stack(looks), {name: (i,) for i, name in enumerate(NAMES)})


@pytest.fixture(scope="session")
def fonts() -> Fonts:
    return OneFont(((Path(PIL.__file__),),))


@pytest.fixture(scope="session")
def studio(icons, fonts) -> Studio:
    tone = np.sin(np.arange(8_000, dtype=np.float32))
    return Studio(icons, fonts, say=lambda text, rng: tone)
