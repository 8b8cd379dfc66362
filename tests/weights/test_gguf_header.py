"""GGUF headers, right and wrong in every way."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import gguf
import pytest

from myna.core.errors import BadCheckpoint
from myna.kernels.blocks import FORMATS
from myna.kernels.tiles import ROW_KINDS
from myna.weights import gguf_header
from myna.weights.checkpoint import DTYPES
from myna.weights.gguf_header import TYPES, UNSUPPORTED_TYPES, read_gguf_header

FLOATS = struct.pack("<4f", 1, 2, 3, 4)
ONE = {"a": ("F32", (4,), FLOATS)}


def refused(path: Path, message: str, *, damaged: bool = True) -> None:
    with pytest.raises(BadCheckpoint, match=re.escape(message)) as error:
        read_gguf_header(path)
    if damaged:
        assert re.match(r"m\.gguf is damaged at byte \d+: .*; download it again$", str(error.value))


def raw(num_tensors: int, num_keys: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<Iqq", version, num_tensors, num_keys) + rest


def key(name: bytes, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name + struct.pack("<I", kind) + value


def info(name: bytes, extents: list[int], kind: int = 0, offset: int = 0) -> bytes:
    sizes = struct.pack(f"<{len(extents)}Q", *extents)
    head = struct.pack("<Q", len(name)) + name + struct.pack("<I", len(extents)) + sizes
    return head + struct.pack("<IQ", kind, offset)


def test_metadata_of_every_type_is_read(write, small_gguf) -> None:
    metadata = dict(read_gguf_header(write("m.gguf", small_gguf)).metadata)
    assert metadata == {
        "general.architecture": "llama",
        "a.u8": 200,
        "a.i8": -5,
        "a.u16": 60_000,
        "a.i16": -300,
        "a.u32": 4_000_000_000,
        "a.i32": -70_000,
        "a.f32": 0.5,
        "a.bool": True,
        "a.u64": 1 << 63,
        "a.i64": -(1 << 40),
        "a.f64": 1e-5,
        "a.texts": ["a", "ü", ""],
        "a.ints": [1, -2, 3],
        "a.floats": [0.5, -2.0],
        "a.flags": [True, False],
        "a.empty": [],
    }


def test_tensors_are_placed_with_rows_before_columns(write, small_gguf) -> None:
    tensors = read_gguf_header(write("m.gguf", small_gguf)).tensors
    assert tensors["token_embd.weight"].kind == "Q4_0"
    assert tensors["token_embd.weight"].shape == (4, 64)
    assert tensors["token_embd.weight"].num_bytes == 8 * 18
    assert tensors["blk.0.ffn_up_exps.weight"].shape == (2, 3, 32)
    starts = [tensor.start for tensor in tensors.values()]
    assert starts == sorted(starts)
    assert all(start % 32 == 0 for start in starts)


@pytest.mark.parametrize("alignment", [1, 8, 64, 1024])
def test_the_file_chooses_its_alignment(write, make_gguf, alignment: int) -> None:
    two = {"a": ("F32", (1,), FLOATS[:4]), "b": ("F32", (1,), FLOATS[:4])}
    data = make_gguf(two, {"general.alignment": (4, alignment)}, alignment=alignment)
    tensors = read_gguf_header(write("m.gguf", data)).tensors
    assert tensors["a"].start % alignment == 0
    assert tensors["b"].start == tensors["a"].start + max(4, alignment)


def test_files_of_the_gguf_package_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(3)
    writer.add_token_list(["a", "b"])
    writer.add_tensor("x", gguf.np.arange(6, dtype=gguf.np.float32).reshape(2, 3))
    writer.add_tensor("y", gguf.np.ones((5,), dtype=gguf.np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header = read_gguf_header(path)
    assert header.metadata.text("general.architecture") == "qwen2"
    assert header.metadata.integer("qwen2.block_count") == 3
    assert header.metadata.texts("tokenizer.ggml.tokens") == ["a", "b"]
    for tensor in gguf.GGUFReader(path).tensors:
        found = header.tensors[tensor.name]
        assert found.start == tensor.data_offset
        assert found.num_bytes == tensor.n_bytes
        assert found.shape == tuple(reversed(tensor.shape.tolist()))


def test_the_table_of_types_is_that_of_the_gguf_package_and_of_our_decoders() -> None:
    for number, (name, num_values, num_bytes) in TYPES.items():
        kind = gguf.GGMLQuantizationType(number)
        assert kind.name == name
        assert name in FORMATS or name in DTYPES
        assert gguf.GGML_QUANT_SIZES[kind] == (num_values, num_bytes)
    assert all(gguf.GGMLQuantizationType(n).name == name for n, name in UNSUPPORTED_TYPES.items())
    assert TYPES.keys() | UNSUPPORTED_TYPES.keys() >= {int(t) for t in gguf.GGMLQuantizationType}
    of_gguf = {name for name, *_ in TYPES.values()}
    assert FORMATS.keys() - of_gguf == {*ROW_KINDS, "Q6_0", "Q4_F8"}


def test_version_2_is_read(write, make_gguf) -> None:
    assert "a" in read_gguf_header(write("m.gguf", make_gguf(ONE, version=2))).tensors


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "m.gguf is no GGUF file: it holds 0 bytes"),
        (b"GGUF\3\0\0\0", "m.gguf is no GGUF file: it holds 8 bytes"),
        (b"<html>" * 9, "m.gguf is no GGUF file: it begins with b'<htm'"),
        (raw(0, 0, version=1), "m.gguf is GGUF version 1; versions 2 and 3 are supported"),
        (raw(0, 0, version=4), "m.gguf is GGUF version 4"),
        (raw(0, 0, version=3 << 24), "m.gguf is a big-endian GGUF file, which is not supported"),
        (raw(1, 0, info(b"a", [32], 20)), "'a' is of type IQ4_NL, which is not supported; take a"),
    ],
)
def test_another_kind_of_file_is_named(write, data: bytes, message: str) -> None:
    refused(write("m.gguf", data), message, damaged=False)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (raw(-1, 0), "the number of tensors is -1"),
        (raw(1, 0), "the number of tensors is 1; 8 bytes are left"),
        (raw(10**6 + 1, 0, bytes(10**6)), "the number of tensors is 1000001"),
        (raw(0, -(2**63)), "the number of metadata keys is -9223372036854775808"),
        (raw(0, 2**62), "the number of metadata keys is 4611686018427387904"),
        (raw(0, 1, struct.pack("<Q", 2**64 - 1) + bytes(20)), "a string of 18446744073709551615 b"),
        (raw(0, 1, struct.pack("<Q", 30) + bytes(20)), "a string takes 30 bytes, the file has 20"),
        (raw(0, 1, key(b"\xff", 4, bytes(4))), "a string is not UTF-8 (invalid start byte)"),
        (raw(0, 1, key(b"", 4, bytes(4))), "the metadata key '' is empty or comes twice"),
        (raw(0, 2, key(b"a", 4, bytes(4)) * 2), "the metadata key 'a' is empty or comes twice"),
        (raw(0, 1, key(b"a", 13, bytes(8))), "the value type 13 is unknown here"),
        (raw(0, 1, key(b"a", 7, b"\2")), "a truth value is neither 0 nor 1"),
        (raw(0, 1, key(b"a", 10, bytes(4))), "1 values of type 10 takes 8 bytes, the file has 4"),
        (raw(0, 1, key(b"a", 9, struct.pack("<IQ", 9, 1))), "the value type 9 is unknown here"),
        (raw(0, 1, key(b"a", 9, struct.pack("<IQ", 0, 2**63))), "an array of 9223372036854775808"),
        (raw(0, 1, key(b"a", 9, struct.pack("<IQ", 0, 99))), "99 values of type 0 takes 99 bytes"),
        (raw(0, 1, key(b"a", 9, struct.pack("<IQ", 7, 99))), "truth values takes 99 bytes"),
        (raw(0, 1, key(b"a", 9, struct.pack("<IQ", 8, 99))), "99 strings do not fit into the file"),
        (raw(1, 0, info(b"", [4])), "the tensor name '' is empty or comes twice"),
        (raw(2, 0, info(b"a", [4]) * 2), "the tensor name 'a' is empty or comes twice"),
        (raw(1, 0, info(b"a", [])), "'a' has 0 dimensions"),
        (raw(1, 0, info(b"a", [1] * 5)), "'a' has 5 dimensions"),
        (raw(1, 0, info(b"a", [4, 0])), "'a' has dimensions [4, 0]"),
        (raw(1, 0, info(b"a", [2**40 + 1])), "'a' has dimensions [1099511627777]"),
        (raw(1, 0, info(b"a", [2**40] * 2)), "'a' of type F32 cannot have dimensions"),
        (raw(1, 0, info(b"a", [48, 2], 2)), "'a' of type Q4_0 cannot have dimensions [48, 2]"),
        (raw(1, 0, info(b"a", [64], 2)), "'a' of type Q4_0 cannot have dimensions [64]"),
        (raw(1, 0, info(b"a", [4], 5)), "'a' has the unknown type 5"),
        (raw(1, 0, info(b"a", [4], 0, 32) + FLOATS * 8), "'a' lies at offset 32, expected is 0"),
    ],
)
def test_a_damaged_header_is_refused_with_its_byte(write, rest: bytes, message: str) -> None:
    refused(write("m.gguf", rest), message)


def test_a_long_string_within_the_file_is_refused(write, monkeypatch) -> None:
    monkeypatch.setattr(gguf_header, "MAX_STRING_BYTES", 3)
    value = struct.pack("<Q", 4) + b"abcd"
    refused(write("m.gguf", raw(0, 1, key(b"a", 8, value))), "a string of 4 bytes, 3 are allowed")


def test_too_many_items_are_refused(write, monkeypatch) -> None:
    monkeypatch.setattr(gguf_header, "MAX_ITEMS", 3)
    array = struct.pack("<IQ", 0, 4) + b"abcd"
    refused(write("m.gguf", raw(0, 1, key(b"a", 9, array))), "an array of 4 items, 3 are allowed")


@pytest.mark.parametrize(
    "alignment", [(4, 0), (4, 3), (4, 1 << 21), (5, -32), (6, 32.0), (7, True)]
)
def test_an_impossible_alignment_is_refused(write, make_gguf, alignment) -> None:
    data = make_gguf(ONE, {"general.alignment": alignment})
    refused(write("m.gguf", data), f"general.alignment is {alignment[1]!r}, not a power of two")


def test_overlapping_tensors_are_refused(write, make_gguf) -> None:
    data = make_gguf({"a": ONE["a"], "b": ONE["a"]}, offset_error=-16)
    refused(write("m.gguf", data), "'b' lies at offset 16, expected is 32")


@pytest.mark.parametrize("num_cut", [1, 16])
def test_a_file_cut_short_is_refused_with_both_sizes(write, make_gguf, num_cut: int) -> None:
    whole = make_gguf(ONE)[:-16]  # less the padding
    path = write("m.gguf", whole[:-num_cut])
    ends = f"'a' ends at byte {len(whole)}, the file holds {len(whole) - num_cut}"
    refused(path, f"m.gguf is cut short: {ends}; download it again", damaged=False)


def test_every_cut_of_a_file_is_refused(write, small_gguf) -> None:
    for length in range(0, len(small_gguf) - 32, 7):
        path = write("m.gguf", small_gguf[:length])
        with pytest.raises(BadCheckpoint):
            read_gguf_header(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"gone\.gguf cannot be read: No such file"):
        read_gguf_header(tmp_path / "gone.gguf")


def test_a_large_vocabulary_is_read_in_time(write, make_gguf) -> None:
    tokens = [f"token {number}" for number in range(50_000)]
    path = write("m.gguf", make_gguf(ONE, {"tokens": (9, (8, tokens))}))
    start = time.perf_counter()
    assert read_gguf_header(path).metadata.texts("tokens") == tokens
    assert time.perf_counter() - start < 2


def test_headers_are_read_without_torch() -> None:
    code = (
        "import sys, myna.weights.gguf_header, myna.weights.safetensors_header; "
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
