"""What packs a model as it comes, for `myna pull --quantize`; loads torch.

Not here: fetching (cli.fetching), the packing itself (weights.quantize).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from myna.core.settings import Settings
from myna.hub.catalogue import entry_of
from myna.hub.packing import fetched_folder, work_folder
from myna.hub.pull import Index
from myna.models.registry import blueprint_for_folder
from myna.pipeline.load import read_json_object
from myna.weights.quantize.arriving import ArrivingModel
from myna.weights.quantize.scheme import Recipe
from myna.weights.safetensors_files import INDEX


def make_packer(name: str, settings: Settings, bits: Literal[4, 6, 8]) -> ArrivingModel:
    """Make what packs a model of the catalogue.

    Raises:
        NotFound: the catalogue has no such model.
    """
    entry = entry_of(name)
    folder = settings.models_dir / entry.id
    return ArrivingModel(
        folder,
        fetched=fetched_folder(folder),
        work=work_folder(folder),
        recipe=Recipe(bits=bits),
        look=_accept if entry.kind == "image_edit" else _check_family,
    )


def _check_family(folder: Path) -> None:
    """Refuse a family that is not known before its weights are fetched."""
    names: set[str] = set()
    if (folder / INDEX).is_file():
        names = set(msgspec.json.decode((folder / INDEX).read_bytes(), type=Index).weight_map)
    blueprint_for_folder(read_json_object(folder / "config.json"), names)


def _accept(_folder: Path) -> None:
    """Trust a model whose kind the catalogue names."""
