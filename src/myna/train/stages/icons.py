"""Stage: fetch the icon sets, render every picture that nano can name, and cut photographs, once.

Needs `npm` and resvg (the extra `train`).
"""

from __future__ import annotations

from collections.abc import Callable

from myna.train.pictures import icons, photographs
from myna.train.workshop import folder


def draw(svg: str, side_px: int) -> bytes:
    """Render an SVG as a PNG of at most `side_px` a side."""
    import resvg_py  # noqa: PLC0415 - only who renders needs the extra `train`

    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side_px, height=side_px))


def run(*, minutes: float | None, report: Callable[[str], None]) -> None:
    """Render all styles; those that are there already are left alone.

    Args:
        minutes: are not counted: it takes less than one.
        report: takes lines of progress.
    """
    where = folder(icons.FOLDER)
    for name, style in icons.STYLES.items():
        if not (where / f"{name}.json").exists():
            count = icons.save(name, icons.fetch(style, where / "packages"), draw, where)
            report(f"{name}: {count} icons ({style.licence})")
    report(f"{photographs.cut()} cuttings of photographs")
