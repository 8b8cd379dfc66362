"""Files that say that they hold blocks: read as such, or refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from myna.core.errors import BadCheckpoint
from myna.kernels.packed import PackedWeight
from myna.weights.safetensors_files import SafetensorsCheckpoint

BLOCK = torch.tensor([0.5], dtype=torch.float16).view(torch.uint8).numpy().tobytes() + bytes(16)
MATRIX = {"dtype": "U8", "shape": [2, 18], "data_offsets": [0, 36]}
NORM = {"dtype": "F32", "shape": [4], "data_offsets": [36, 52]}


def metadata(formats: object, *, version: object = 1) -> dict[str, object]:
    return {"myna.blocks": json.dumps({"version": version, "formats": formats})}


def header(blocks: object, **changes: object) -> dict[str, object]:
    return {"__metadata__": blocks, "a": {**MATRIX, **changes}, "norm": NORM}


def test_bytes_that_are_called_blocks_are_a_packed_matrix(write, make_safetensors) -> None:
    data = make_safetensors(header(metadata({"a": "Q4_0"})), BLOCK * 2 + bytes(16))
    checkpoint = SafetensorsCheckpoint(write("model.safetensors", data).parent)
    info, found = checkpoint.tensors["a"], checkpoint.read("a")
    assert (info.dtype, info.shape, info.num_bytes) == ("Q4_0", (2, 32), 36)
    assert isinstance(found, PackedWeight)
    assert found.data.numpy().tobytes() == BLOCK * 2
    assert checkpoint.tensors["norm"].dtype == "F32"


@pytest.mark.parametrize("blocks", [None, {"format": "pt"}, {}])
def test_bytes_of_others_stay_bytes(write, make_safetensors, blocks: object) -> None:
    data = make_safetensors(header(blocks), BLOCK * 2 + bytes(16))
    checkpoint = SafetensorsCheckpoint(write("model.safetensors", data).parent)
    assert checkpoint.tensors["a"].dtype == "U8"
    assert checkpoint.read("a").shape == (2, 18)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"myna.blocks": "{"}, "myna.blocks of its metadata is not JSON"),
        ({"myna.blocks": "[" * 100_000}, "myna.blocks of its metadata is not JSON"),
        ({"myna.blocks": 7}, "holds blocks of version None, but this program reads version 1"),
        ({"myna.blocks": "[]"}, "holds blocks of version None"),
        (metadata({}, version=2), "holds blocks of version 2"),
        (metadata(["a"]), "has no formats by the names of tensors"),
        (metadata({"a": 4}), "has no formats by the names of tensors"),
        (metadata({"gone": "Q4_0"}), "its metadata call 'gone' blocks, but it holds no such bytes"),
        (metadata({"norm": "Q4_0"}), "its metadata call 'norm' blocks"),
        (metadata({"a": "Q3_X"}), "says that 'a', in rows of 18 bytes, is blocks of 'Q3_X'"),
        (metadata({"a": "F16"}), "is blocks of 'F16'; known are Q2_K, Q3_K"),
        (metadata({"a": "Q8_0"}), "in rows of 18 bytes, is blocks of 'Q8_0'"),
    ],
)
def test_what_cannot_be_blocks_is_refused(
    write, make_safetensors, blocks: object, message: str
) -> None:
    path = write("model.safetensors", make_safetensors(header(blocks), BLOCK * 2 + bytes(16)))
    with pytest.raises(BadCheckpoint, match=re.escape(message)):
        SafetensorsCheckpoint(path.parent)


def test_a_number_cannot_be_blocks(write, make_safetensors) -> None:
    tensors = {"a": {"dtype": "U8", "shape": [], "data_offsets": [0, 1]}}
    data = make_safetensors({"__metadata__": metadata({"a": "Q4_0"}), **tensors}, bytes(1))
    with pytest.raises(BadCheckpoint, match="call 'a' blocks, but it holds no such bytes"):
        SafetensorsCheckpoint(write("model.safetensors", data).parent)


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_scales_that_are_no_numbers_are_refused(
    write, make_safetensors, tmp_path: Path, scale: float
) -> None:
    bad = torch.tensor([scale], dtype=torch.float16).view(torch.uint8).numpy().tobytes()
    data = make_safetensors(header(metadata({"a": "Q4_0"})), BLOCK + bad + bytes(32))
    checkpoint = SafetensorsCheckpoint(write("model.safetensors", data).parent)
    with pytest.raises(BadCheckpoint, match="'a' has scales that are infinite or not numbers"):
        checkpoint.read("a")
