"""A file's bytes as a tensor, without reading them: pages come when they are used.

Not here: what the bytes mean (gguf, safetensors_files).
"""

from __future__ import annotations

import mmap
from pathlib import Path

import torch
from torch import Tensor

from myna.core.errors import BadCheckpoint


def map_file(path: Path) -> Tensor:
    """Map a file as a (bytes,) uint8 tensor.

    The mapping is private: PyTorch has no read-only tensors, and a stray write must not reach the
    file.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError as error:
        raise BadCheckpoint(f"{path} cannot be mapped: {error.strerror}") from error
    return torch.frombuffer(data, dtype=torch.uint8)
