"""A folder made of a GGUF file: blocks of our own under its names, its metadata beside them.

The metadata stay a GGUF file, one without tensors, because configuration and tokenizer are read
from them. Not here: how such a folder is made (quantize).
"""

from __future__ import annotations

import struct
from pathlib import Path

from torch import Tensor

from myna.kernels.packed import PackedWeight
from myna.weights.gguf import GgufSource
from myna.weights.gguf_header import MAGIC, VERSIONS, read_gguf_header
from myna.weights.safetensors_files import SafetensorsCheckpoint

METADATA = "metadata.gguf"
COUNTS_START, METADATA_START = 8, 24  # in a header: the two counts, and what they count


class GgufFolder(GgufSource):
    """Read a folder's tensors under the names that GGUF gives them.

    Args:
        folder: holds safetensors files, and the metadata.

    Raises:
        BadCheckpoint: a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self.metadata = read_gguf_header(folder / METADATA).metadata
        self._blocks = SafetensorsCheckpoint(folder)
        self.tensors = self._blocks.tensors

    def read(self, name: str) -> Tensor | PackedWeight:
        """Read one tensor."""
        return self._blocks.read(name)

    def forget(self, name: str, *, for_good: bool = False) -> None:
        """Give back the memory that a tensor's blocks take; see `Mapped`."""
        self._blocks.forget(name, for_good=for_good)

    def populate(self, name: str) -> None:
        """Have a tensor's blocks in memory before they are used; see `Mapped`."""
        self._blocks.populate(name)

    def close(self) -> None:
        """Let go of the files; what was read stays valid."""
        self._blocks.close()


def write_metadata(source: Path, target: Path) -> None:
    """Write a GGUF file with the metadata of another, and no tensors.

    Raises:
        BadCheckpoint: the source is damaged.
    """
    header = read_gguf_header(source)
    with source.open("rb") as file:
        data = file.read(header.metadata_end)
    counts = struct.pack("<qq", 0, len(header.metadata))
    lead = MAGIC + struct.pack("<I", VERSIONS[-1])
    target.write_bytes(lead + counts + data[METADATA_START:])
