"""Quantize a folder of several networks: each that is made of matrices by itself, the rest copied.

Not here: how a network's folder is quantized (folder).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from myna.core.progress import Progress
from myna.weights.quantize.folder import quantize_networks
from myna.weights.quantize.job import QuantizeReport
from myna.weights.quantize.scheme import Bits, Recipe
from myna.weights.quantize.sources import open_network
from myna.weights.safetensors_files import has_safetensors

KEPT = ("vae",)  # convolutions, and less than a hundredth of the whole


def quantize_pipeline(
    source: Path, target: Path, *, bits: Bits, progress: Progress
) -> QuantizeReport:
    """Write a pipeline's networks anew, their large matrices in blocks of few bits.

    Args:
        source: a folder in the form of a diffusers pipeline, which is only read.
        target: where the new folder is to be; nothing may be there.
        bits: of most matrices.
        progress: told the bytes read.

    Raises:
        InvalidRequest: something is at the target already.
        Unavailable: the disk has no room.
        BadCheckpoint: the source is damaged.
    """
    networks = {
        f"{path.name}/": open_network(path)
        for path in sorted(source.iterdir())
        if path.is_dir() and has_safetensors(path) and path.name not in KEPT
    }

    def copy_rest(whole: Path) -> None:
        for path in sorted(source.iterdir()):
            if path.is_file():
                shutil.copyfile(path, whole / path.name)
            elif f"{path.name}/" not in networks:
                shutil.copytree(path, whole / path.name, dirs_exist_ok=True)

    recipe = Recipe(bits=bits)
    return quantize_networks(networks, target, recipe, copy_rest=copy_rest, progress=progress)
