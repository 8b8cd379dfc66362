"""Open what a user points at: a folder of safetensors, a GGUF file, or a folder that holds one.

Not here: the formats (safetensors_files, gguf).
"""

from __future__ import annotations

from pathlib import Path

from myna.core.errors import NotFound
from myna.weights.checkpoint import Checkpoint
from myna.weights.safetensors_files import SafetensorsCheckpoint


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint and check its headers; no values are read.

    Raises:
        NotFound: nothing is there.
        BadCheckpoint: what is there holds no weights, or damaged ones.
    """
    if not path.exists():
        raise NotFound(f"{path} does not exist; give a folder or a .gguf file")
    return SafetensorsCheckpoint(path)
