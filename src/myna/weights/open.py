"""Open what a user points at: a folder of safetensors, a GGUF file, or a folder that holds one.

Not here: the formats (safetensors_files, gguf, grouped, gguf_folder).
"""

from __future__ import annotations

from pathlib import Path

from myna.core.errors import BadCheckpoint, NotFound, Unsupported
from myna.weights.gguf import PART_NAME, GgufCheckpoint, GgufSource
from myna.weights.gguf_folder import METADATA, GgufFolder
from myna.weights.grouped import GroupedCheckpoint, is_grouped
from myna.weights.report import some_names
from myna.weights.safetensors_files import SafetensorsCheckpoint, has_safetensors

PIPELINE_INDEX = "model_index.json"  # of diffusers


def open_checkpoint(path: Path) -> SafetensorsCheckpoint | GgufSource | GroupedCheckpoint:
    """Open a checkpoint and check its headers; no values are read.

    Raises:
        NotFound: nothing is there.
        BadCheckpoint: what is there holds no weights, or damaged ones.
        Unsupported: it holds several networks.
    """
    gguf_file = find_gguf(path)
    if gguf_file is not None:
        return GgufCheckpoint(gguf_file)
    if not path.is_dir():
        raise BadCheckpoint(f"{path} is neither a folder nor a .gguf file")
    if (path / PIPELINE_INDEX).is_file():
        raise Unsupported(
            f"{path} holds several networks rather than one model that writes; if it edits "
            "pictures, `myna edit` and `myna serve` run it"
        )
    if (path / METADATA).is_file() and has_safetensors(path):
        return GgufFolder(path)
    return GroupedCheckpoint(path) if is_grouped(path) else SafetensorsCheckpoint(path)


def find_gguf(path: Path) -> Path | None:
    """Find the GGUF file that a path names, or the one of a folder without safetensors.

    Raises:
        NotFound: nothing is there.
        BadCheckpoint: the folder holds several.
    """
    if not path.exists():
        raise NotFound(f"{path} does not exist; give a folder or a .gguf file")
    if path.is_file():
        return path if path.suffix == ".gguf" else None
    found = sorted(path.glob("*.gguf"))
    if not found or has_safetensors(path):
        return None
    first = found[0]
    is_one = len(found) == 1 or len({_stem(file.name) for file in found}) == 1
    if not is_one:
        names = some_names(file.name for file in found)
        raise BadCheckpoint(f"{path} holds {len(found)} GGUF files, {names}; name one of them")
    return first


def _stem(name: str) -> str:
    """Strip a part's number."""
    found = PART_NAME.fullmatch(name)
    return found[1] if found else name
