"""The header of a GGUF file: metadata and where each tensor lies, read without torch.

Not here: the tensors' values, and files in several parts (gguf).
Source: the GGUF specification of the ggml project; the limits are ours. A file is taken to be
hostile: each length is compared with the bytes that are left before anything of that length is
made, and nothing recurses.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from myna.core.errors import BadCheckpoint
from myna.weights.gguf_metadata import Metadata, Scalar, Value

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_TENSORS = 1_000_000
MAX_KEYS = 100_000
MAX_NAME_BYTES = 1 << 20
MAX_STRING_BYTES = 64 << 20
MAX_ITEMS = 1 << 24
MAX_DIMENSIONS = 4
MAX_EXTENT = 1 << 40
MAX_VALUES = (1 << 63) - 1
MAX_ALIGNMENT = 1 << 20
MIN_FILE_BYTES = 24
MIN_TENSOR_BYTES = 24
MIN_KEY_BYTES = 13

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 10: "Q", 11: "q", 12: "d"}
BOOL, STRING, ARRAY = 7, 8, 9

TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    30: ("BF16", 1, 2),
}
"""Type number -> its name, the values in a block, the bytes in a block."""

UNSUPPORTED_TYPES = {
    9: "Q8_1",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    29: "IQ1_M",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
    40: "NVFP4",
    41: "Q1_0",
}


@dataclass(frozen=True)
class GgufTensor:
    """Place one tensor: its type, its shape (rows before columns), and its bytes in the file."""

    kind: str
    shape: tuple[int, ...]
    start: int
    num_bytes: int


@dataclass(frozen=True)
class GgufHeader:
    """Hold what stands before a file's data; tensors come in the order of their bytes.

    The metadata end at byte `metadata_end` of the file.
    """

    metadata: Metadata
    tensors: Mapping[str, GgufTensor]
    metadata_end: int


def read_gguf_header(path: Path) -> GgufHeader:
    """Read and check a file's header.

    Raises:
        BadCheckpoint: the file is not there, is cut short, or says something impossible; the
            message names the byte.
    """
    try:
        with path.open("rb") as file:
            file_bytes = path.stat().st_size
            if file_bytes < MIN_FILE_BYTES:
                raise BadCheckpoint(
                    f"{path.name} is no GGUF file: it holds {file_bytes} bytes; download it again"
                )
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path.name, data).header()
    except OSError as error:
        raise BadCheckpoint(f"{path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class _TensorInfo:
    """Hold what the file says of one tensor; `position` is where it says so."""

    kind: str
    shape: tuple[int, ...]
    num_bytes: int
    offset: int
    position: int


class _Reader:
    """Read on from a position that only grows, and name it in every complaint."""

    def __init__(self, name: str, data: mmap.mmap) -> None:
        self._name = name
        self._data = data
        self._position = 0

    def header(self) -> GgufHeader:
        """Read the whole header."""
        self._check_magic()
        num_tensors = self._count("tensors", limit=MAX_TENSORS, min_bytes=MIN_TENSOR_BYTES)
        num_keys = self._count("metadata keys", limit=MAX_KEYS, min_bytes=MIN_KEY_BYTES)
        values: dict[str, Value] = {}
        for _ in range(num_keys):
            position = self._position
            key = self._string(MAX_NAME_BYTES)
            if not key or key in values:
                raise self._bad(f"the metadata key {key!r:.80} is empty or comes twice", position)
            values[key] = self._value()
        metadata_end = self._position
        alignment = self._alignment(values.get("general.alignment", 32))
        infos: dict[str, _TensorInfo] = {}
        for _ in range(num_tensors):
            position = self._position
            name = self._string(MAX_NAME_BYTES)
            if not name or name in infos:
                raise self._bad(f"the tensor name {name!r:.80} is empty or comes twice", position)
            infos[name] = self._tensor_info(name)
        tensors = self._placed(infos, alignment)
        return GgufHeader(Metadata(values, file=self._name), tensors, metadata_end)

    def _bad(self, found: str, position: int) -> BadCheckpoint:
        return BadCheckpoint(
            f"{self._name} is damaged at byte {position}: {found}; download it again"
        )

    def _take(self, num_bytes: int, what: str) -> int:
        """Step over bytes that must be there; returns where they begin."""
        start, left = self._position, len(self._data) - self._position
        if num_bytes > left:
            raise self._bad(f"{what} takes {num_bytes} bytes, the file has {left} left", start)
        self._position += num_bytes
        return start

    def _scalar(self, code: str, what: str) -> int | float:
        start = self._take(struct.calcsize(f"<{code}"), what)
        value: int | float = struct.unpack_from(f"<{code}", self._data, start)[0]
        return value

    def _integer(self, code: str, what: str) -> int:
        return int(self._scalar(code, what))

    def _check_magic(self) -> None:
        magic = self._data[self._take(4, "the magic") : 4]
        if magic != MAGIC:
            raise BadCheckpoint(f"{self._name} is no GGUF file: it begins with {magic!r}")
        version = self._integer("I", "the version")
        if version & 0xFFFF == 0:
            raise BadCheckpoint(
                f"{self._name} is a big-endian GGUF file, which is not supported; convert it"
            )
        if version not in VERSIONS:
            raise BadCheckpoint(
                f"{self._name} is GGUF version {version}; versions 2 and 3 are supported: convert "
                f"the model again"
            )

    def _count(self, what: str, *, limit: int, min_bytes: int) -> int:
        """Read how many there are, and check that so many could follow."""
        position = self._position
        count = self._integer("q", f"the number of {what}")
        left = len(self._data) - self._position
        if not 0 <= count <= min(limit, left // min_bytes):
            raise self._bad(
                f"the number of {what} is {count}; {left} bytes are left, {limit} are allowed",
                position,
            )
        return count

    def _string(self, limit: int) -> str:
        position = self._position
        num_bytes = self._integer("Q", "a string's length")
        if num_bytes > limit:
            raise self._bad(f"a string of {num_bytes} bytes, {limit} are allowed", position)
        start = self._take(num_bytes, "a string")
        try:
            return self._data[start : start + num_bytes].decode()
        except UnicodeDecodeError as error:
            raise self._bad(f"a string is not UTF-8 ({error.reason})", start) from error

    def _value(self) -> Value:
        position = self._position
        kind = self._integer("I", "a value's type")
        if kind == ARRAY:
            return self._array()
        return self._items(kind, 1, position)[0]

    def _array(self) -> list[Scalar]:
        position = self._position
        kind = self._integer("I", "an array's type")
        count = self._integer("Q", "an array's length")
        if count > MAX_ITEMS:
            raise self._bad(f"an array of {count} items, {MAX_ITEMS} are allowed", position)
        return self._items(kind, count, position)

    def _items(self, kind: int, count: int, position: int) -> list[Scalar]:
        """Read values of one type, none of them an array."""
        if kind == STRING:
            if count * 8 > len(self._data) - self._position:
                raise self._bad(f"{count} strings do not fit into the file", position)
            return [self._string(MAX_STRING_BYTES) for _ in range(count)]
        if kind == BOOL:
            start = self._take(count, "truth values")
            found = self._data[start : start + count]
            if not set(found) <= {0, 1}:
                raise self._bad("a truth value is neither 0 nor 1", start)
            return [byte == 1 for byte in found]
        if kind not in SCALARS:
            raise self._bad(f"the value type {kind} is unknown here", position)
        layout = struct.Struct(f"<{count}{SCALARS[kind]}")
        start = self._take(layout.size, f"{count} values of type {kind}")
        return list(layout.unpack_from(self._data, start))

    def _alignment(self, value: Value) -> int:
        is_power = type(value) is int and value > 0 and value & (value - 1) == 0
        if not isinstance(value, int) or not is_power or value > MAX_ALIGNMENT:
            raise self._bad(
                f"general.alignment is {value!r:.80}, not a power of two up to {MAX_ALIGNMENT}",
                self._position,
            )
        return value

    def _tensor_info(self, name: str) -> _TensorInfo:
        """Read and check one tensor's own numbers."""
        position = self._position
        num_dimensions = self._integer("I", "a tensor's number of dimensions")
        if not 1 <= num_dimensions <= MAX_DIMENSIONS:
            raise self._bad(f"{name!r} has {num_dimensions} dimensions", position)
        extents = [self._integer("Q", "a dimension") for _ in range(num_dimensions)]
        if not all(1 <= extent <= MAX_EXTENT for extent in extents):
            raise self._bad(f"{name!r} has dimensions {extents}", position)
        type_id = self._integer("I", "a tensor's type")
        offset = self._integer("Q", "a tensor's offset")
        if type_id in UNSUPPORTED_TYPES:
            known = ", ".join(kind for kind, _, _ in TYPES.values())
            raise BadCheckpoint(
                f"{self._name}: {name!r} is of type {UNSUPPORTED_TYPES[type_id]}, which is not "
                f"supported; take a file of the types {known}"
            )
        if type_id not in TYPES:
            raise self._bad(f"{name!r} has the unknown type {type_id}", position)
        kind, num_values, block_bytes = TYPES[type_id]
        total = math.prod(extents)
        if extents[0] % num_values or total > MAX_VALUES or (num_values > 1 and len(extents) < 2):
            raise self._bad(f"{name!r} of type {kind} cannot have dimensions {extents}", position)
        num_bytes = total // num_values * block_bytes
        return _TensorInfo(kind, tuple(reversed(extents)), num_bytes, offset, position)

    def _placed(self, infos: Mapping[str, _TensorInfo], alignment: int) -> dict[str, GgufTensor]:
        """Check that the data follow each other as the format wants, and end within the file."""
        data_start = -(-self._position // alignment) * alignment
        tensors: dict[str, GgufTensor] = {}
        expected = 0
        for name, info in sorted(infos.items(), key=lambda item: item[1].offset):
            if info.offset != expected:
                raise self._bad(
                    f"{name!r} lies at offset {info.offset}, expected is {expected}", info.position
                )
            start = data_start + info.offset
            if start + info.num_bytes > len(self._data):
                raise BadCheckpoint(
                    f"{self._name} is cut short: {name!r} ends at byte {start + info.num_bytes}, "
                    f"the file holds {len(self._data)}; download it again"
                )
            tensors[name] = GgufTensor(info.kind, info.shape, start, info.num_bytes)
            expected += -(-info.num_bytes // alignment) * alignment
        return tensors
