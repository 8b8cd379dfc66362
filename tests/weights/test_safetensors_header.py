"""Safetensors headers, right and wrong in every way."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from myna.core.errors import BadCheckpoint
from myna.weights import safetensors_header
from myna.weights.checkpoint import DTYPES
from myna.weights.safetensors_header import ITEM_BYTES, Entry, read_header


def entry(dtype: object = "F32", shape: object = (2, 3), offsets: object = (0, 24)) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_entries_come_in_the_order_of_their_bytes(write, make_safetensors) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "b": entry("BF16", [2], [24, 28]),
        "a": entry(),
        "empty": entry("I64", [0, 5], [24, 24]),
        "scalar": entry("U8", [], [28, 29]),
    }
    path = write("model.safetensors", make_safetensors(header, bytes(29)))
    start = 8 + len(json.dumps(header))
    found = read_header(path)
    assert list(found) == ["a", "empty", "b", "scalar"]
    assert found["a"] == Entry("F32", (2, 3), start, 24)
    assert found["b"] == Entry("BF16", (2,), start + 24, 4)


def test_the_sizes_of_items_are_those_of_torch() -> None:
    assert {name: dtype.itemsize for name, dtype in DTYPES.items()} == ITEM_BYTES


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"{", "its header is not JSON"),
        (b"\xff{}", "its header is not JSON"),
        (b"[" * 100_000, "its header is not JSON"),
        (b'{"a": 1, "a": 2}', "the key 'a' comes twice"),
        ([], "its header is a JSON list"),
        ({"a": 7}, "the entry of 'a' is 7, not an object"),
        ({"a": {}}, "'a' has dtype None; known are F64, F32"),
        ({"a": entry(dtype="F12")}, "'a' has dtype 'F12'"),
        ({"a": entry(dtype=["F32"])}, "'a' has dtype ['F32']"),
        ({"a": entry(shape=None)}, "'a' has shape None"),
        ({"a": entry(shape=[2, -3])}, "'a' has shape [2, -3]"),
        ({"a": entry(shape=[2, 1 << 41])}, "'a' has shape [2, 2199023255552]"),
        ({"a": entry(shape=[2, 3.0])}, "'a' has shape [2, 3.0]"),
        ({"a": entry(shape=[True, 6])}, "'a' has shape [True, 6]"),
        ({"a": entry(shape=[1] * 9)}, "'a' has shape [1, 1, 1"),
        ({"a": entry(offsets=[0])}, "'a' has data_offsets [0], not [start, end]"),
        ({"a": entry(offsets=["0", "24"])}, "'a' has data_offsets ['0', '24'], not [start, end]"),
        ({"a": entry(offsets=[24, 0])}, "takes 24 bytes, but its data_offsets [24, 0] span -24"),
        ({"a": entry(offsets=[0, 20])}, "takes 24 bytes, but its data_offsets [0, 20] span 20"),
        ({"a": entry(), "b": entry(offsets=[20, 44])}, "'b' at byte"),
        ({"a": entry(), "b": entry(offsets=[28, 52])}, "leaves a gap after 'a'"),
    ],
)
def test_a_damaged_header_is_refused(write, make_safetensors, header, message) -> None:
    path = write("model.safetensors", make_safetensors(header, bytes(24)))
    with pytest.raises(BadCheckpoint, match=re.escape(message)) as error:
        read_header(path)
    assert str(error.value).startswith("model.safetensors is damaged: ")
    assert str(error.value).endswith("; download it again")


def test_overlapping_tensors_are_refused(write, make_safetensors) -> None:
    header = {"a": entry(), "b": entry(offsets=[20, 44])}
    path = write("model.safetensors", make_safetensors(header, bytes(44)))
    with pytest.raises(BadCheckpoint, match=r"'b' at byte \d+ overlaps 'a', which ends at \d+"):
        read_header(path)


@pytest.mark.parametrize("num_cut", [1, 24])
def test_a_file_cut_short_is_refused_with_both_sizes(write, make_safetensors, num_cut) -> None:
    whole = make_safetensors({"a": entry()}, bytes(24))
    path = write("model.safetensors", whole[:-num_cut])
    sizes = f"its header describes {len(whole)} bytes, the file holds {len(whole) - num_cut}"
    with pytest.raises(BadCheckpoint, match=f"model.safetensors is cut short: {sizes}"):
        read_header(path)


def test_bytes_after_the_last_tensor_are_refused(write, make_safetensors) -> None:
    path = write("model.safetensors", make_safetensors({"a": entry()}, bytes(25)))
    with pytest.raises(BadCheckpoint, match="followed by bytes that belong to nothing"):
        read_header(path)


@pytest.mark.parametrize("length", [3, 2**63, 2**64 - 1])
def test_a_header_longer_than_the_file_is_never_allocated(write, length) -> None:
    path = write("model.safetensors", length.to_bytes(8, "little") + b"{}")
    with pytest.raises(BadCheckpoint, match=f"promise a header of {length} bytes, but the file"):
        read_header(path)


def test_a_header_above_the_limit_is_refused(write, make_safetensors, monkeypatch) -> None:
    monkeypatch.setattr(safetensors_header, "MAX_HEADER_BYTES", 10)
    path = write("model.safetensors", make_safetensors({"a": entry()}, bytes(24)))
    with pytest.raises(BadCheckpoint, match="and 10 are the most allowed"):
        read_header(path)


@pytest.mark.parametrize("data", [b"", b"1234567"])
def test_a_file_without_a_whole_length_is_refused(write, data) -> None:
    path = write("model.safetensors", data)
    with pytest.raises(BadCheckpoint, match=f"it holds {len(data)} bytes, fewer than"):
        read_header(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"gone\.safetensors cannot be read: No such file"):
        read_header(tmp_path / "gone.safetensors")
