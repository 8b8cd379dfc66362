"""Icons: fetched as vector sets of several styles, rendered once, then kept as arrays on disk.

Not here: the style that no one trains on (`myna.evals.heldout.styles`), how icons become pictures
(`canvas`).
"""

from __future__ import annotations

import io
import json
import random
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from myna.train.pictures.names import ICON_KEYS
from myna.train.workshop import folder

ICON_PX = 128
FOLDER = "icons"
Rgba = NDArray[np.uint8]  # (height, width, 4), colours not multiplied by alpha
SvgToPng = Callable[[str, int], bytes]  # (svg, pixels a side)


@dataclass(frozen=True)
class Style:
    """Say where a style of icons comes from.

    Attributes:
        package: of the npm registry, with its version.
        licence: of the drawings.
    """

    package: str
    licence: str


STYLES: Mapping[str, Style] = {
    "fluent-emoji-flat": Style("@iconify-json/fluent-emoji-flat@1.2.6", "MIT"),
    "fluent-emoji": Style("@iconify-json/fluent-emoji@1.2.7", "MIT"),
    "twemoji": Style("@iconify-json/twemoji@1.2.5", "CC-BY-4.0"),
    "emojione": Style("@iconify-json/emojione@1.2.3", "CC-BY-4.0"),
    "fxemoji": Style("@iconify-json/fxemoji@1.2.2", "Apache-2.0"),
}


@dataclass(frozen=True)
class Icons:
    """Hold rendered icons.

    Attributes:
        pixels: (I, ICON_PX, ICON_PX, 4) uint8.
        looks: the rows of `pixels` that show each name.
    """

    pixels: NDArray[np.uint8]
    looks: Mapping[str, tuple[int, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Give what can be shown."""
        return tuple(self.looks)

    def draw(self, rng: random.Random, name: str) -> Rgba:
        """Give one of the looks of a name."""
        drawn: Rgba = self.pixels[rng.choice(self.looks[name])]
        return drawn


def fetch(style: Style, where: Path) -> dict[str, object]:
    """Get the vector set of a style from the npm registry.

    Args:
        style: to get.
        where: a folder for the package, which is kept there.

    Returns:
        The set in the Iconify JSON format.
    """
    where.mkdir(parents=True, exist_ok=True)
    name, _, version = style.package.removeprefix("@").replace("/", "-").partition("@")
    archive = where / f"{name}-{version}.tgz"
    if not archive.exists():
        command = ["npm", "pack", "--silent", "--pack-destination", str(where), style.package]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(archive) as files:
        member = files.extractfile("package/icons.json")
        if member is None:
            raise FileNotFoundError(f"{archive} holds no package/icons.json; delete it, try again.")
        found: dict[str, object] = json.load(member)
    return found


def vector(icons: Mapping[str, object], key: str) -> str | None:
    """Write the SVG of one icon of an Iconify set, black where it leaves the colour open.

    Returns:
        None if the set does not have it.
    """
    drawn = icons["icons"]
    aliases = icons.get("aliases", {})
    if not isinstance(drawn, dict) or not isinstance(aliases, dict):
        raise TypeError("the icon set is not in the Iconify JSON format: no tables of icons")
    key = aliases.get(key, {}).get("parent", key)
    if key not in drawn:
        return None
    icon = drawn[key]
    width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
    body = icon["body"].replace("currentColor", "#000000")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    return f"{head}{body}</svg>"


def render(icons: Mapping[str, object], keys: Sequence[str], draw: SvgToPng) -> list[Rgba | None]:
    """Render icons; None for those that the set does not have."""
    made: list[Rgba | None] = []
    for key in keys:
        svg = vector(icons, key)
        if svg is None:
            made.append(None)
            continue
        drawn = Image.open(io.BytesIO(draw(svg, ICON_PX))).convert("RGBA")
        made.append(np.asarray(drawn.resize((ICON_PX, ICON_PX))))
    return made


def save(name: str, icons: Mapping[str, object], draw: SvgToPng, where: Path) -> int:
    """Render every nameable icon of a set into the workshop; give how many there are."""
    wanted = [(spoken, key) for spoken, keys in ICON_KEYS.items() for key in keys]
    made = render(icons, [key for _, key in wanted], draw)
    kept = [
        (spoken, look) for (spoken, _), look in zip(wanted, made, strict=True) if look is not None
    ]
    np.save(where / f"{name}.npy", np.stack([look for _, look in kept]))
    (where / f"{name}.json").write_text(json.dumps([spoken for spoken, _ in kept]))
    return len(kept)


def load(styles: Sequence[str] = tuple(STYLES), where: Path | None = None) -> Icons:
    """Read rendered styles.

    Args:
        styles: to put together.
        where: they lie; the workshop's folder if None.

    Raises:
        FileNotFoundError: the stage `icons` has not run.
    """
    where = where or folder(FOLDER)
    pixels: list[Rgba] = []
    looks: dict[str, tuple[int, ...]] = {}
    count = 0
    for style in styles:
        path = where / f"{style}.npy"
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there; run the stage 'icons' first.")
        pixels.append(np.load(path))
        for row, name in enumerate(json.loads(path.with_suffix(".json").read_text()), count):
            looks[name] = (*looks.get(name, ()), row)
        count += len(pixels[-1])
    return Icons(np.concatenate(pixels), looks)
