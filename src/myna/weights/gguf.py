"""GGUF files: one, or several parts of one, mapped into memory and read tensor by tensor.

Not here: the header's own checks (gguf_header), what blocks spell (kernels.blocks).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from myna.core.errors import BadCheckpoint
from myna.kernels.blocks import has_finite_scales
from myna.kernels.packed import PackedWeight
from myna.weights.checkpoint import DTYPES, TensorInfo
from myna.weights.gguf_header import GgufHeader, GgufTensor, read_gguf_header
from myna.weights.gguf_metadata import Metadata
from myna.weights.mapping import MappedFile, drop_from_cache
from myna.weights.report import some_names

PART_NAME = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.DOTALL)
MAX_PARTS = 65_535


class GgufSource(ABC):
    """Give tensors under the names that GGUF has for them, and the metadata of a GGUF file.

    Attributes:
        name: the path to show in errors.
        metadata: from which configuration and tokenizer are read.
        tensors: what is there, by name.
    """

    name: str
    metadata: Metadata
    tensors: Mapping[str, TensorInfo]

    @abstractmethod
    def read(self, name: str) -> Tensor | PackedWeight:
        """Read one tensor."""

    @abstractmethod
    def forget(self, name: str, *, for_good: bool = False) -> None:
        """Give back the memory that a tensor's blocks take; see `Mapped`."""

    @abstractmethod
    def populate(self, name: str) -> None:
        """Have a tensor's blocks in memory before they are used."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the mapped files; each stays mapped while a tensor read from it lives."""


class GgufCheckpoint(GgufSource):
    """Read the tensors of a GGUF file under the names that it gives them.

    Quantized matrices are views of the mapped file, not to be written to; all else is copied.

    Args:
        path: the file, or any part of a file in parts.

    Attributes:
        first: the file with the metadata.

    Raises:
        BadCheckpoint: a file is missing or damaged, or parts do not belong together.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        headers = _read_parts(path)
        self.first = headers[0][0]
        self.metadata = headers[0][1].metadata
        self._entries: dict[str, GgufTensor] = {}
        infos: dict[str, TensorInfo] = {}
        for part, header in headers:
            if twice := header.tensors.keys() & infos.keys():
                raise BadCheckpoint(
                    f"{part.name} repeats tensors of the parts before it: "
                    f"{some_names(sorted(twice))}; download all parts again"
                )
            for name, entry in header.tensors.items():
                self._entries[name] = entry
                infos[name] = TensorInfo(entry.kind, entry.shape, part.name)
        self.tensors = infos
        self._check_total(len(headers))
        self._paths = {part.name: part for part, _ in headers}
        self._files = {name: MappedFile(part) for name, part in self._paths.items()}

    def read(self, name: str) -> Tensor | PackedWeight:
        """Read one tensor."""
        entry, file = self._entries[name], self.tensors[name].file
        data = self._files[file].data[entry.start : entry.start + entry.num_bytes]
        if not self.tensors[name].is_packed:
            return data.clone().view(DTYPES[entry.kind]).view(entry.shape)
        packed = PackedWeight(entry.kind, data.view(*entry.shape[:-1], -1), None, entry.shape)
        self._files[file].fetch(entry.start, entry.num_bytes)
        if not has_finite_scales(packed.kind, packed.data):
            raise BadCheckpoint(
                f"{file} is damaged: {name!r} has scales that are infinite or not numbers; "
                f"download it again"
            )
        self.forget(name)
        return packed

    def forget(self, name: str, *, for_good: bool = False) -> None:
        """Give back the memory that a tensor's blocks take; see `Mapped`."""
        entry = self._entries[name]
        file = self.tensors[name].file
        self._files[file].forget(entry.start, entry.num_bytes)
        if for_good:
            drop_from_cache(self._paths[file], entry.start, entry.num_bytes)

    def populate(self, name: str) -> None:
        """Have a tensor's blocks in memory before they are used; see `Mapped`."""
        entry = self._entries[name]
        self._files[self.tensors[name].file].populate(entry.start, entry.num_bytes)

    def close(self) -> None:
        """Let go of the mapped files; each stays mapped while a tensor read from it lives."""
        self._files = {}

    def _check_total(self, num_parts: int) -> None:
        """Check the number of tensors of a file in parts, where the first part tells it."""
        total = self.metadata.integer("split.tensors.count")
        if num_parts > 1 and total is not None and total != len(self.tensors):
            raise BadCheckpoint(
                f"{self.name}: its {num_parts} parts hold {len(self.tensors)} tensors, the first "
                f"promises {total}; download all parts again"
            )


def _read_parts(path: Path) -> list[tuple[Path, GgufHeader]]:
    """Read the headers of a file, or of all parts that a part belongs to, in order."""
    header = read_gguf_header(path)
    count = header.metadata.integer("split.count")
    if count is None or count <= 1:
        return [(path, header)]
    found = PART_NAME.fullmatch(path.name)
    if found is None or int(found[3]) != count or count > MAX_PARTS:
        raise BadCheckpoint(
            f"{path.name} is one of {count} parts, but its name does not end in "
            f"-00001-of-{count:05}.gguf or the like; give all parts their names back"
        )
    parts = [path.with_name(f"{found[1]}-{no:05}-of-{count:05}.gguf") for no in range(1, count + 1)]
    if missing := [part.name for part in parts if not part.exists()]:
        raise BadCheckpoint(
            f"{path.parent} lacks {len(missing)} of {count} parts: {some_names(missing)}; "
            f"download them"
        )
    headers = [(part, read_gguf_header(part)) for part in parts]
    for number, (part, read) in enumerate(headers):
        says = (read.metadata.integer("split.no"), read.metadata.integer("split.count"))
        if says != (number, count):
            raise BadCheckpoint(
                f"{part.name} says that it is part {says[0]} of {says[1]}, counted from 0; "
                f"expected is {number} of {count}: download it again"
            )
    return headers
