"""The fonts that nano learns to read, as Debian packages install them.

Not here: those that it has never seen (`myna.evals.heldout.fonts`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import ImageFont

FONT_FOLDER = Path("/usr/share/fonts")
# Debian package -> the files that are taken from it; light weights, symbols and fonts of capitals
# alone stay out.
PACKAGES = {
    "fonts-dejavu": ("truetype/dejavu/DejaVuS*.ttf",),
    "fonts-liberation": ("truetype/liberation/Liberation*.ttf",),
    "fonts-roboto-unhinted": ("truetype/roboto/unhinted/RobotoTTF/Roboto-[BIMR]*.ttf",),
    "fonts-roboto-slab": ("opentype/roboto/slab/*.otf",),
    "fonts-lato": ("truetype/lato/Lato-[BHIMRS]*.ttf",),
    "fonts-crosextra-carlito": ("truetype/crosextra/Carlito-*.ttf",),
    "fonts-crosextra-caladea": ("truetype/crosextra/Caladea-*.ttf",),
    "fonts-inconsolata": ("truetype/inconsolata/*.otf",),
    "fonts-firacode": ("truetype/firacode/FiraCode-[BMRS]*.ttf",),
    "fonts-cantarell": ("opentype/cantarell/Cantarell-[BR]*.otf",),
    "fonts-freefont-ttf": ("truetype/freefont/*.ttf",),
    "fonts-adf-gillius": ("truetype/adf/GilliusADF-*.otf",),
    "fonts-adf-romande": ("truetype/adf/RomandeADFStd-*.otf",),
    "fonts-adf-switzera": ("truetype/adf/SwitzeraADF-[BIMR]*.otf",),
    "fonts-quicksand": ("truetype/quicksand/Quicksand-[BMR]*.ttf",),
    "fonts-comic-neue": ("opentype/comic-neue/*.otf",),
    "fonts-jetbrains-mono": ("truetype/jetbrains-mono/JetBrainsMono-[BIMR]*.ttf",),
    "fonts-vollkorn": ("truetype/vollkorn/*.ttf",),
    "fonts-courier-prime": ("opentype/courier-prime/*.otf",),
    "fonts-anonymous-pro": ("truetype/anonymous-pro/*.ttf",),
    "fonts-karla": ("truetype/karla/Karla-[BIMR]*.otf",),
    "fonts-sil-gentium": ("truetype/gentium/*.ttf",),
    "fonts-sil-charis": ("truetype/charis/*.ttf",),
    "fonts-dosis": ("opentype/dosis/Dosis-[BMRS]*.otf",),
    "fonts-urw-base35": tuple(
        f"opentype/urw-base35/{family}*.otf"
        for family in ("C059", "NimbusMono", "NimbusRoman", "NimbusSans", "P052", "URW")
    ),
    "fonts-linuxlibertine": ("opentype/linux-libertine/LinLibertine_R*.otf",),
    "fonts-junicode": ("opentype/junicode/JunicodeTwoBeta-[BR]*.otf",),
    "fonts-play": ("opentype/play/*.otf", "truetype/play/*.ttf"),
    "fonts-cabin": ("opentype/cabin/Cabin-*.otf",),
    "fonts-tuffy": ("truetype/tuffy/*.ttf",),
}


@dataclass(frozen=True)
class Fonts:
    """Hold font files by family, so that a family of many files is drawn no oftener."""

    families: tuple[tuple[Path, ...], ...]

    def draw(self, rng: random.Random, size_px: int) -> ImageFont.FreeTypeFont:
        """Choose a font."""
        return open_font(rng.choice(rng.choice(self.families)), size_px)


def installed(packages: dict[str, tuple[str, ...]], where: Path = FONT_FOLDER) -> Fonts:
    """Find the fonts of some packages; those that are not installed are left out.

    Raises:
        FileNotFoundError: not one is installed.
    """
    families = [_files(where, globs) for globs in packages.values()]
    found = tuple(family for family in families if family)
    if not found:
        wanted = " ".join(packages)
        raise FileNotFoundError(f"no font to write with in {where}; apt-get install {wanted}")
    return Fonts(found)


@cache
def open_font(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    """Open a font without ligatures, so that each character has a place of its own."""
    return ImageFont.truetype(path, size_px, layout_engine=ImageFont.Layout.BASIC)


def _files(where: Path, globs: Sequence[str]) -> tuple[Path, ...]:
    return tuple(sorted(path for pattern in globs for path in where.glob(pattern)))
