"""Writers of small files, right by default and wrong wherever a test says so."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
ITEM_BYTES = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 8: (32, 34), 12: (256, 144)}
TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 8, "Q4_K": 12, "BF16": 30, "I32": 26}
ITEM_BYTES |= {30: (1, 2), 26: (1, 4)}


def gguf_string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def gguf_value(kind: int, value: Any) -> bytes:
    if kind == 8:
        return gguf_string(value)
    if kind == 9:
        item_kind, items = value
        head = struct.pack("<IQ", item_kind, len(items))
        return head + b"".join(gguf_value(item_kind, item) for item in items)
    return struct.pack(f"<{CODES[kind]}", value)


def gguf_bytes(
    tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]] | None = None,
    metadata: Mapping[str, tuple[int, Any]] | None = None,
    *,
    version: int = 3,
    alignment: int = 32,
    offset_error: int = 0,
) -> bytes:
    """Spell a GGUF file.

    Args:
        tensors: name -> (type, shape with rows before columns, data).
        metadata: key -> (value type, value).
        version: what the header says.
        alignment: what the data are padded to.
        offset_error: added to the offset of the last tensor.
    """
    tensors, metadata = tensors or {}, metadata or {}
    header = b"GGUF" + struct.pack("<Iqq", version, len(tensors), len(metadata))
    for key, (kind, value) in metadata.items():
        header += gguf_string(key) + struct.pack("<I", kind) + gguf_value(kind, value)
    body = b""
    for position, (name, (kind, shape, data)) in enumerate(tensors.items()):
        offset = len(body) + (offset_error if position == len(tensors) - 1 else 0)
        header += gguf_string(name) + struct.pack("<I", len(shape))
        header += struct.pack(f"<{len(shape)}Q", *reversed(shape))
        header += struct.pack("<IQ", TYPES[kind], offset)
        body += data + bytes(-len(data) % alignment)
    return header + bytes(-len(header) % alignment) + body


@pytest.fixture(scope="session")
def make_gguf() -> Callable[..., bytes]:
    """Give the writer of GGUF bytes."""
    return gguf_bytes


@pytest.fixture(scope="session")
def small_gguf() -> bytes:
    """Give a whole small file: metadata of every type, plain and quantized tensors."""
    floats = struct.pack("<64f", *range(64))
    block = struct.pack("<e", 0.5) + bytes(range(16))
    return gguf_bytes(
        {
            "token_embd.weight": ("Q4_0", (4, 64), block * 8),
            "output_norm.weight": ("F32", (64,), floats),
            "blk.0.ffn_up_exps.weight": ("Q4_0", (2, 3, 32), block * 6),
            "blk.0.attn_q.weight": ("F16", (2, 64), floats),
            "blk.0.attn_k.weight": ("BF16", (4, 3), bytes(24)),
        },
        {
            "general.architecture": (8, "llama"),
            "a.u8": (0, 200),
            "a.i8": (1, -5),
            "a.u16": (2, 60_000),
            "a.i16": (3, -300),
            "a.u32": (4, 4_000_000_000),
            "a.i32": (5, -70_000),
            "a.f32": (6, 0.5),
            "a.bool": (7, True),
            "a.u64": (10, 1 << 63),
            "a.i64": (11, -(1 << 40)),
            "a.f64": (12, 1e-5),
            "a.texts": (9, (8, ["a", "ü", ""])),
            "a.ints": (9, (5, [1, -2, 3])),
            "a.floats": (9, (6, [0.5, -2.0])),
            "a.flags": (9, (7, [True, False])),
            "a.empty": (9, (4, [])),
        },
    )


def safetensors_bytes(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.fixture(scope="session")
def make_safetensors() -> Callable[..., bytes]:
    """Give the writer of safetensors bytes: a header (JSON or bytes), then data."""
    return safetensors_bytes


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Give a writer of files in the test's own folder."""

    def write_bytes(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write_bytes
