"""Checkpoints without files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from myna.core.errors import BadCheckpoint
from myna.kernels.packed import PackedWeight
from myna.weights.checkpoint import MemoryCheckpoint, MetaCheckpoint, TensorInfo

PACKED = PackedWeight("Q4_0", torch.zeros(2, 36, dtype=torch.uint8), None, (2, 64))


def test_an_info_counts_values_and_bytes() -> None:
    plain, packed = TensorInfo("BF16", (2, 3), "f"), TensorInfo("Q4_0", (2, 64), "f")
    assert (plain.is_packed, plain.num_values, plain.num_bytes) == (False, 6, 12)
    assert (packed.is_packed, packed.num_values, packed.num_bytes) == (True, 128, 72)
    assert TensorInfo("F32", (), "f").num_values == 1


def test_a_dict_is_a_checkpoint() -> None:
    weight = torch.ones(2, dtype=torch.bfloat16)
    checkpoint = MemoryCheckpoint({"a": weight, "b": PACKED})
    assert checkpoint.tensors["a"] == TensorInfo("BF16", (2,), "memory")
    assert checkpoint.tensors["b"] == TensorInfo("Q4_0", (2, 64), "memory")
    found = checkpoint.read("a")
    assert isinstance(found, torch.Tensor)
    found.zero_()
    assert weight.all()
    assert checkpoint.read("b") is PACKED
    checkpoint.close()


def test_a_layout_has_shapes_without_values(tmp_path: Path) -> None:
    path = tmp_path / "tensors.json.gz"
    layout = {"a": ["BF16", [1 << 20, 1 << 20]], "b": ["Q4_0", [4, 64]]}
    path.write_bytes(gzip.compress(json.dumps(layout).encode()))
    checkpoint = MetaCheckpoint.from_file(path)
    assert checkpoint.name == "tensors.json.gz"
    assert checkpoint.tensors["a"].shape == (1 << 20, 1 << 20)
    found = checkpoint.read("a")
    assert found.is_meta
    assert found.dtype is torch.bfloat16
    assert checkpoint.read("b").shape == (4, 64)
    checkpoint.close()


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        gzip.compress(b"{"),
        gzip.compress(b"[]"),
        gzip.compress(b'{"a": 7}'),
        gzip.compress(b'{"a": ["BF16", 7]}'),
        gzip.compress(b"{}")[:-3],
        gzip.compress(b"{}" * 99)[:14] + b"damaged!" * 4,
    ],
)
def test_a_layout_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "tensors.json.gz"
    path.write_bytes(data)
    with pytest.raises(BadCheckpoint, match=r"tensors\.json\.gz is not a gzipped JSON layout: "):
        MetaCheckpoint.from_file(path)
