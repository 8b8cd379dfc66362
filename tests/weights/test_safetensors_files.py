"""Folders of safetensors, whole and broken."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from myna.core.errors import BadCheckpoint
from myna.weights import safetensors_files
from myna.weights.checkpoint import NAMES
from myna.weights.safetensors_files import SafetensorsCheckpoint, has_safetensors

NUM_MUTANTS = 200
SHARDS = {
    "model-00001-of-000002.safetensors": {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2)},
    "model-00002-of-000002.safetensors": {"c": torch.full((4,), 3, dtype=torch.bfloat16)},
}


def write_index(folder: Path, weight_map: object) -> None:
    index = {"metadata": {"total_size": 40}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    for shard, tensors in SHARDS.items():
        save_file(tensors, tmp_path / shard)
    write_index(tmp_path, {name: shard for shard, tensors in SHARDS.items() for name in tensors})
    return tmp_path


def opening_fails(folder: Path, message: str) -> None:
    with pytest.raises(BadCheckpoint, match=re.escape(message)):
        SafetensorsCheckpoint(folder)


def test_every_dtype_is_read_back(tmp_path: Path) -> None:
    tensors: dict[str, Tensor] = {
        name: torch.arange(6).view(2, 3).to(dtype) for dtype, name in NAMES.items()
    }
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 4)
    save_file(tensors, tmp_path / "model.safetensors")
    checkpoint = SafetensorsCheckpoint(tmp_path)
    for name, tensor in tensors.items():
        found = checkpoint.read(name)
        assert found.dtype is tensor.dtype
        assert found.tolist() == tensor.tolist()
        assert checkpoint.tensors[name].shape == tuple(tensor.shape)


def test_shards_are_read_by_the_index(sharded: Path) -> None:
    checkpoint = SafetensorsCheckpoint(sharded)
    assert checkpoint.name == str(sharded)
    assert set(checkpoint.tensors) == {"a", "b", "c"}
    assert checkpoint.tensors["c"].file == "model-00002-of-000002.safetensors"
    assert torch.equal(checkpoint.read("a"), SHARDS["model-00001-of-000002.safetensors"]["a"])
    assert torch.equal(checkpoint.read("c"), SHARDS["model-00002-of-000002.safetensors"]["c"])
    checkpoint.close()


def test_what_was_read_belongs_to_the_reader(sharded: Path) -> None:
    checkpoint = SafetensorsCheckpoint(sharded)
    checkpoint.read("a").zero_()
    assert checkpoint.read("a").any()


def test_one_file_of_another_stem_is_found(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "diffusion_pytorch_model.safetensors")
    assert torch.equal(SafetensorsCheckpoint(tmp_path).read("a"), torch.ones(2))
    assert has_safetensors(tmp_path)


def test_an_index_of_another_stem_is_found(sharded: Path) -> None:
    index = sharded / "model.safetensors.index.json"
    index.rename(sharded / "diffusion_pytorch_model.safetensors.index.json")
    assert set(SafetensorsCheckpoint(sharded).tensors) == {"a", "b", "c"}


def test_a_missing_shard_is_named_and_counted(sharded: Path) -> None:
    (sharded / "model-00001-of-000002.safetensors").unlink()
    opening_fails(
        sharded,
        "lacks 1 of 2 files that model.safetensors.index.json names: "
        "'model-00001-of-000002.safetensors'; download them",
    )


def test_an_extra_shard_is_named(sharded: Path) -> None:
    save_file({"x": torch.ones(1)}, sharded / "extra.safetensors")
    opening_fails(
        sharded, "holds 1 files that model.safetensors.index.json does not name: 'extra.s"
    )


def test_a_tensor_that_its_shard_lacks_is_named(sharded: Path) -> None:
    save_file({"a": torch.ones(2, 3)}, sharded / "model-00001-of-000002.safetensors")
    opening_fails(
        sharded,
        "model-00001-of-000002.safetensors lacks 1 tensors that the index places in it: 'b'",
    )


def test_a_tensor_that_the_index_lacks_is_named(sharded: Path) -> None:
    shard = "model-00002-of-000002.safetensors"
    save_file({"c": torch.ones(4), "a": torch.ones(2, 3)}, sharded / shard)
    opening_fails(sharded, f"{shard} holds 1 tensors that the index does not place in it: 'a'")


def test_a_truncated_shard_is_refused_when_opened(sharded: Path) -> None:
    shard = sharded / "model-00001-of-000002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    opening_fails(sharded, "model-00001-of-000002.safetensors is cut short")


def test_a_shard_that_shrinks_while_it_is_read_is_refused(sharded: Path) -> None:
    checkpoint = SafetensorsCheckpoint(sharded)
    shard = sharded / "model-00001-of-000002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-4])
    with pytest.raises(BadCheckpoint, match="was cut short while it was being read: 'b' needs 8"):
        checkpoint.read("b")


def test_a_shard_that_vanishes_is_named(sharded: Path) -> None:
    checkpoint = SafetensorsCheckpoint(sharded)
    (sharded / "model-00001-of-000002.safetensors").unlink()
    with pytest.raises(BadCheckpoint, match=r"cannot be read: No such file"):
        checkpoint.read("b")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "has no weight_map"),
        ("{}", "has no weight_map"),
        ('{"weight_map": {}}', "has no weight_map"),
        ('{"weight_map": [1]}', "has no weight_map"),
        ('{"weight_map": {"a": 7}}', "places 'a' in 7, which is not the name of a file beside it"),
        ('{"weight_map": {"a": "../x.safetensors"}}', "places 'a' in '../x.safetensors'"),
        ('{"weight_map": {"a": ".."}}', "places 'a' in '..'"),
        ('{"weight_map": {"a": ""}}', "places 'a' in ''"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "places 'a' in '/etc/passwd'"),
    ],
)
def test_a_damaged_index_is_refused(sharded: Path, index: str, message: str) -> None:
    (sharded / "model.safetensors.index.json").write_text(index)
    opening_fails(sharded, message)


def test_an_index_above_the_limit_is_refused(sharded: Path, monkeypatch) -> None:
    monkeypatch.setattr(safetensors_files, "MAX_INDEX_BYTES", 10)
    opening_fails(sharded, "holds more than 10 bytes")


def test_an_index_that_cannot_be_read_is_named(sharded: Path) -> None:
    (sharded / "model.safetensors.index.json").unlink()
    (sharded / "model.safetensors.index.json").mkdir()
    opening_fails(sharded, "model.safetensors.index.json cannot be read: Is a directory")


def test_two_indexes_are_refused(sharded: Path) -> None:
    index = sharded / "model.safetensors.index.json"
    for name in ("one", "two"):
        (sharded / f"{name}.safetensors.index.json").write_bytes(index.read_bytes())
    index.unlink()
    opening_fails(sharded, "holds 2 indexes, 'one.safetensors.index.json', 'two.s")


def test_several_files_without_an_index_are_refused(sharded: Path) -> None:
    (sharded / "model.safetensors.index.json").unlink()
    opening_fails(sharded, "holds 2 safetensors files ('model-00001-of-000002.safetensors', ")


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    assert not has_safetensors(tmp_path)
    opening_fails(tmp_path, "holds neither model.safetensors nor model.safetensors.index.json")


def mutate(data: bytes, seed: int) -> bytes:
    """Damage a file: a bit, a byte, a wide number, a cut, a lost or doubled stretch."""
    draw = random.Random(seed)
    damaged = bytearray(data)
    at = draw.randrange(len(damaged))
    match draw.randrange(6):
        case 0:
            damaged[at] ^= 1 << draw.randrange(8)
        case 1:
            damaged[at] = draw.choice(b'\x00\x7f\x80\xff"[]{},:-09')
        case 2:
            damaged[at : at + 8] = draw.getrandbits(64).to_bytes(8, "little")
        case 3:
            del damaged[at:]
        case 4:
            del damaged[at : at + draw.randint(1, 64)]
        case _:
            damaged[at:at] = damaged[at : at + draw.randint(1, 64)]
    return bytes(damaged)


def reading_fails(folder: Path) -> bool:
    try:
        checkpoint = SafetensorsCheckpoint(folder)
        for name, info in checkpoint.tensors.items():
            assert tuple(checkpoint.read(name).shape) == info.shape
    except BadCheckpoint:
        return True
    return False


@pytest.mark.parametrize(
    "victim", ["model-00001-of-000002.safetensors", "model.safetensors.index.json"]
)
def test_mutated_files_are_refused_or_read_and_nothing_else(sharded: Path, victim: str) -> None:
    path = sharded / victim
    whole = path.read_bytes()
    num_refused = 0
    for seed in range(NUM_MUTANTS):
        path.write_bytes(mutate(whole, seed))
        num_refused += reading_fails(sharded)
    assert NUM_MUTANTS // 2 < num_refused < NUM_MUTANTS
