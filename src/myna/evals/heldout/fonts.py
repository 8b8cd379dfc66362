"""Fonts that training has never seen."""

from __future__ import annotations

from myna.train.pictures.fonts import Fonts, installed

# Debian package -> the files that are taken from it.
PACKAGES = {
    "fonts-open-sans": ("truetype/open-sans/OpenSans-[BRS]*.ttf",),
    "fonts-ebgaramond": ("opentype/ebgaramond/EBGaramond12-[BIR]*.otf",),
    "fonts-hack": ("truetype/hack/*.ttf",),
    "fonts-inter": ("opentype/inter/Inter-[BMRS]*.otf",),
    "fonts-sil-andika": ("truetype/andika/*.ttf",),
    "fonts-manrope": ("truetype/manrope/*.ttf", "opentype/manrope/*.otf"),
}


def fonts() -> Fonts:
    """Find them on this machine."""
    return installed(PACKAGES)
