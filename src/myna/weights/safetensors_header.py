"""The header of a safetensors file: read without torch, believed after every number was checked.

Not here: the tensors' values (safetensors_files).
Source: the format description of the `safetensors` project: a u64 header length, a JSON header,
    then the data.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeGuard

from myna.core.errors import BadCheckpoint

MAX_HEADER_BYTES = 100_000_000
MAX_DIMENSIONS = 8
MAX_EXTENT = 1 << 40
ITEM_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
AGAIN = "download it again"
# Our own key of a file's metadata: which tensors of bytes are blocks, as {"version", "formats"}.
BLOCKS_KEY = "myna.blocks"
BLOCKS_VERSION = 1


@dataclass(frozen=True)
class Entry:
    """Place one tensor: its dtype, its shape, and its bytes from `start` of the file on.

    Where the bytes are quantized blocks, `blocks` is their format.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    num_bytes: int
    blocks: str | None = None


def read_header(path: Path, *, may_be_cut: bool = False) -> dict[str, Entry]:
    """Read and check a file's header; entries come in the order of their bytes.

    Args:
        path: of the file.
        may_be_cut: whether the file may end before its last bytes, because they were used up.

    Raises:
        BadCheckpoint: the file is not there, is cut short, or says something impossible.
    """
    try:
        with path.open("rb") as file:
            file_bytes = path.stat().st_size
            prefix = file.read(8)
            header_bytes = int.from_bytes(prefix, "little")
            if len(prefix) < 8:
                raise _bad(path, f"it holds {file_bytes} bytes, fewer than a header's length takes")
            if header_bytes > MAX_HEADER_BYTES or header_bytes > file_bytes - 8:
                raise _bad(
                    path,
                    f"its first 8 bytes promise a header of {header_bytes} bytes, but the file "
                    f"holds {file_bytes} and {MAX_HEADER_BYTES} are the most allowed",
                )
            text = file.read(header_bytes)
    except OSError as error:
        raise BadCheckpoint(f"{path} cannot be read: {error.strerror}") from error
    try:
        header = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"its header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise _bad(path, f"its header is a JSON {type(header).__name__}, not an object")
    data_start = 8 + header_bytes
    entries = {
        name: _entry(path, name, value, data_start)
        for name, value in header.items()
        if name != "__metadata__"
    }
    for name, kind in _block_formats(path, header.get("__metadata__")).items():
        if name not in entries or entries[name].dtype != "U8" or not entries[name].shape:
            raise _bad(path, f"its metadata call {name!r:.80} blocks, but it holds no such bytes")
        entries[name] = replace(entries[name], blocks=kind)
    return _ordered(path, entries, data_start, file_bytes=None if may_be_cut else file_bytes)


def _block_formats(path: Path, metadata: object) -> dict[str, str]:
    """Read which tensors are blocks, and in which format; files of others have none."""
    if not isinstance(metadata, dict) or BLOCKS_KEY not in metadata:
        return {}
    text = metadata[BLOCKS_KEY]
    try:
        found = json.loads(text, object_pairs_hook=_unique) if isinstance(text, str) else None
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"{BLOCKS_KEY} of its metadata is not JSON: {error}") from error
    version = found.get("version") if isinstance(found, dict) else None
    if not isinstance(found, dict) or version != BLOCKS_VERSION:
        raise BadCheckpoint(
            f"{path.name} holds blocks of version {version!r:.80}, but this program reads version "
            f"{BLOCKS_VERSION}; quantize the model again, or take a newer program"
        )
    formats = found.get("formats")
    if not isinstance(formats, dict) or not all(isinstance(kind, str) for kind in formats.values()):
        raise _bad(path, f"{BLOCKS_KEY} of its metadata has no formats by the names of tensors")
    return formats


def _bad(path: Path, found: str) -> BadCheckpoint:
    return BadCheckpoint(f"{path.name} is damaged: {found}; {AGAIN}")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object, refusing a key that comes twice."""
    result: dict[str, object] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} comes twice")
        result[key] = value
    return result


def _entry(path: Path, name: str, value: object, data_start: int) -> Entry:
    """Check one tensor's own numbers."""
    if not isinstance(value, dict):
        raise _bad(path, f"the entry of {name!r} is {value!r:.80}, not an object")
    dtype, shape, offsets = (value.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise _bad(path, f"{name!r} has dtype {dtype!r:.80}; known are {', '.join(ITEM_BYTES)}")
    if not _are_extents(shape) or len(shape) > MAX_DIMENSIONS:
        raise _bad(path, f"{name!r} has shape {shape!r:.80}")
    if not _are_extents(offsets) or len(offsets) != 2:
        raise _bad(path, f"{name!r} has data_offsets {offsets!r:.80}, not [start, end]")
    start, end = offsets
    expected = math.prod(shape) * ITEM_BYTES[dtype]
    if end - start != expected:
        raise _bad(
            path,
            f"{name!r} is {dtype} {shape}, which takes {expected} bytes, but its data_offsets "
            f"{offsets} span {end - start}",
        )
    return Entry(dtype, tuple(shape), data_start + start, expected)


def _are_extents(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item <= MAX_EXTENT for item in value
    )


def _ordered(
    path: Path, entries: dict[str, Entry], data_start: int, *, file_bytes: int | None
) -> dict[str, Entry]:
    """Sort by position, and check that the entries cover the data once, with nothing left."""
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].num_bytes)))
    position, before = data_start, "the header"
    for name, entry in ordered.items():
        if entry.start != position:
            what = "overlaps" if entry.start < position else "leaves a gap after"
            raise _bad(
                path, f"{name!r} at byte {entry.start} {what} {before}, which ends at {position}"
            )
        position, before = position + entry.num_bytes, repr(name)
    if file_bytes is not None and position != file_bytes:
        what = "cut short" if file_bytes < position else "followed by bytes that belong to nothing"
        raise BadCheckpoint(
            f"{path.name} is {what}: its header describes {position} bytes, the file holds "
            f"{file_bytes}; {AGAIN}"
        )
    return ordered
