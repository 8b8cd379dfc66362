"""Safetensors folders: one file or many with an index, opened lazily, one shard at a time.

Not here: the header's own checks (safetensors_header).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from myna.core.errors import BadCheckpoint
from myna.kernels.blocks import FORMATS, has_finite_scales
from myna.kernels.packed import PackedWeight
from myna.weights.checkpoint import DTYPES, TensorInfo
from myna.weights.mapping import MappedFile, drop_from_cache
from myna.weights.report import some_names
from myna.weights.safetensors_header import AGAIN, Entry, read_header

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_INDEX_BYTES = 100_000_000


class SafetensorsCheckpoint:
    """Read a folder's tensors: all headers are checked at once, values read when asked for.

    Quantized matrices are views of the mapped files, not to be written to; all else is copied.

    Args:
        folder: holds `model.safetensors`, or an index and the shards that it names. Other stems
            ("diffusion_pytorch_model") are found too, if the folder holds one only.

    Raises:
        BadCheckpoint: a file is missing, damaged, unknown to the index, or disagrees with it.
    """

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self.folder = folder
        index = _find_index(folder)
        shards = _read_index(index) if index else {_find_single(folder): None}
        if index:
            _check_files(folder, index, shards)
        self._entries: dict[str, Entry] = {}
        self._maps: dict[str, MappedFile] = {}
        infos: dict[str, TensorInfo] = {}
        for shard, promised in shards.items():
            entries = read_header(folder / shard)
            if promised is not None:
                _check_names(shard, found=entries.keys(), promised=promised)
            for name, entry in entries.items():
                self._entries[name] = entry
                infos[name] = tensor_info(name, entry, shard)
        self.tensors: Mapping[str, TensorInfo] = infos

    def read(self, name: str) -> Tensor | PackedWeight:
        """Read one tensor."""
        info = self.tensors[name]
        if not info.is_packed:
            return read_plain(self.folder / info.file, name, self._entries[name])
        data = self._view(name)
        if not has_finite_scales(info.dtype, data):
            raise BadCheckpoint(
                f"{info.file} is damaged: {name!r} has scales that are infinite or not numbers; "
                f"{AGAIN}"
            )
        self.forget(name)
        return PackedWeight(info.dtype, data, None, info.shape)

    def forget(self, name: str, *, for_good: bool = False) -> None:
        """Give back the memory that a tensor's blocks take; see `Mapped`."""
        entry, file = self._entries[name], self.tensors[name].file
        if file in self._maps:
            self._maps[file].forget(entry.start, entry.num_bytes)
        if for_good:
            drop_from_cache(self.folder / file, entry.start, entry.num_bytes)

    def populate(self, name: str) -> None:
        """Have a tensor's blocks in memory before they are used; see `Mapped`."""
        entry, file = self._entries[name], self.tensors[name].file
        if file in self._maps:
            self._maps[file].populate(entry.start, entry.num_bytes)

    def _view(self, name: str) -> Tensor:
        """Find a tensor's bytes in its mapped file."""
        entry, info = self._entries[name], self.tensors[name]
        if info.file not in self._maps:
            self._maps[info.file] = MappedFile(self.folder / info.file)
        data = self._maps[info.file].data[entry.start : entry.start + entry.num_bytes]
        if len(data) < entry.num_bytes:
            raise BadCheckpoint(
                f"{info.file} was cut short while it was being read: {name!r} needs "
                f"{entry.num_bytes} bytes, {len(data)} were left; {AGAIN}"
            )
        self._maps[info.file].fetch(entry.start, entry.num_bytes)
        return data.view(entry.shape)

    def close(self) -> None:
        """Let go of the mapped files; each stays mapped while a tensor read from it lives."""
        self._maps.clear()


def read_plain(path: Path, name: str, entry: Entry) -> Tensor:
    """Read a tensor as its file's header describes it: blocks are bytes.

    Raises:
        BadCheckpoint: the file ends before the tensor does, or cannot be read.
    """
    if entry.num_bytes == 0:
        return torch.empty(entry.shape, dtype=DTYPES[entry.dtype])
    try:
        data = np.fromfile(path, dtype=np.uint8, count=entry.num_bytes, offset=entry.start)
    except OSError as error:
        raise BadCheckpoint(f"{path} cannot be read: {error.strerror}") from error
    if data.nbytes < entry.num_bytes:
        raise BadCheckpoint(
            f"{path.name} was cut short while it was being read: {name!r} needs "
            f"{entry.num_bytes} bytes, {data.nbytes} were left; {AGAIN}"
        )
    return torch.from_numpy(data).view(DTYPES[entry.dtype]).view(entry.shape)


def has_safetensors(folder: Path) -> bool:
    """Tell whether a folder holds weights in safetensors form."""
    return any(folder.glob("*.safetensors")) or any(folder.glob("*.safetensors.index.json"))


def tensor_info(name: str, entry: Entry, shard: str) -> TensorInfo:
    """Describe a tensor; blocks by the matrix that they stand for."""
    if entry.blocks is None:
        return TensorInfo(entry.dtype, entry.shape, shard)
    block = FORMATS.get(entry.blocks)
    *rows, row_bytes = entry.shape
    if block is None or block.name in DTYPES or row_bytes % block.num_bytes:
        raise BadCheckpoint(
            f"{shard} says that {name!r}, in rows of {row_bytes} bytes, is blocks of "
            f"{entry.blocks!r:.80}; known are {', '.join(sorted(FORMATS.keys() - DTYPES))}; {AGAIN}"
        )
    columns = row_bytes // block.num_bytes * block.num_values
    return TensorInfo(block.name, (*rows, columns), shard)


def _find_index(folder: Path) -> Path | None:
    """Find the folder's index, if it has one."""
    found = sorted(folder.glob("*.safetensors.index.json"))
    if folder / INDEX in found:
        return folder / INDEX
    if len(found) > 1:
        names = some_names(path.name for path in found)
        raise BadCheckpoint(f"{folder} holds {len(found)} indexes, {names}; keep one")
    return found[0] if found else None


def _find_single(folder: Path) -> str:
    """Find the one file of a folder without an index."""
    found = sorted(path.name for path in folder.glob("*.safetensors"))
    if SINGLE in found and len(found) == 1:
        return SINGLE
    if not found:
        raise BadCheckpoint(f"{folder} holds neither {SINGLE} nor {INDEX}; download one of them")
    if len(found) > 1:
        raise BadCheckpoint(
            f"{folder} holds {len(found)} safetensors files ({some_names(found)}) but no "
            f"{INDEX} that says which tensors they hold; download the index"
        )
    return found[0]


def _read_index(path: Path) -> dict[str, set[str] | None]:
    """Read which tensors each shard promises to hold, shards in order of their names."""
    try:
        if path.stat().st_size > MAX_INDEX_BYTES:
            raise BadCheckpoint(f"{path.name} holds more than {MAX_INDEX_BYTES} bytes; {AGAIN}")
        index = json.loads(path.read_bytes())
    except OSError as error:
        raise BadCheckpoint(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadCheckpoint(f"{path.name} is not JSON: {error}; {AGAIN}") from error
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise BadCheckpoint(f"{path.name} has no weight_map of tensor names to files; {AGAIN}")
    shards: dict[str, set[str]] = {}
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not shard or Path(shard).name != shard or shard == "..":
            raise BadCheckpoint(
                f"{path.name} places {name!r} in {shard!r:.80}, which is not the name of a file "
                f"beside it; {AGAIN}"
            )
        shards.setdefault(shard, set()).add(name)
    return dict(sorted(shards.items()))


def _check_files(folder: Path, index: Path, shards: Iterable[str]) -> None:
    """Check that the folder holds the index's shards and no others."""
    named = set(shards)
    present = {path.name for path in folder.glob("*.safetensors")}
    if missing := sorted(named - present):
        raise BadCheckpoint(
            f"{folder} lacks {len(missing)} of {len(named)} files that {index.name} names: "
            f"{some_names(missing)}; download them"
        )
    if extra := sorted(present - named):
        raise BadCheckpoint(
            f"{folder} holds {len(extra)} files that {index.name} does not name: "
            f"{some_names(extra)}; move them away, or download the index that belongs to them"
        )


def _check_names(shard: str, *, found: Iterable[str], promised: set[str]) -> None:
    """Check that a shard holds what the index promises."""
    if missing := sorted(promised.difference(found)):
        raise BadCheckpoint(
            f"{shard} lacks {len(missing)} tensors that the index places in it: "
            f"{some_names(missing)}; download the shard and the index again"
        )
    if extra := sorted(set(found) - promised):
        raise BadCheckpoint(
            f"{shard} holds {len(extra)} tensors that the index does not place in it: "
            f"{some_names(extra)}; download the shard and the index again"
        )
