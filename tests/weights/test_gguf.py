"""GGUF checkpoints: values, parts, and files that someone has tampered with."""

from __future__ import annotations

import mmap
import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor

from myna.core.errors import BadCheckpoint
from myna.kernels.packed import PackedWeight, dequantize
from myna.weights.gguf import GgufCheckpoint

NUM_MUTANTS = 200


def as_floats(weight: Tensor | PackedWeight) -> Tensor:
    return weight if isinstance(weight, Tensor) else dequantize(weight, torch.float32)


def opening_fails(path: Path, message: str) -> None:
    with pytest.raises(BadCheckpoint, match=re.escape(message)):
        GgufCheckpoint(path)


def test_values_are_those_of_the_gguf_package(write, small_gguf) -> None:
    path = write("m.gguf", small_gguf)
    checkpoint = GgufCheckpoint(path)
    assert checkpoint.name == str(path)
    assert checkpoint.metadata.text("general.architecture") == "llama"
    reader = gguf.GGUFReader(path)
    assert set(checkpoint.tensors) == {tensor.name for tensor in reader.tensors}
    for tensor in reader.tensors:
        expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        found = as_floats(checkpoint.read(tensor.name))
        assert np.array_equal(found.float().numpy(), expected)
        assert checkpoint.tensors[tensor.name].shape == expected.shape


def test_plain_tensors_are_read_in_their_dtype_and_quantized_ones_packed(write, small_gguf) -> None:
    checkpoint = GgufCheckpoint(write("m.gguf", small_gguf))
    assert checkpoint.tensors["blk.0.attn_q.weight"].dtype == "F16"
    assert checkpoint.read("blk.0.attn_q.weight").dtype is torch.float16
    assert checkpoint.read("blk.0.attn_k.weight").dtype is torch.bfloat16
    experts = checkpoint.read("blk.0.ffn_up_exps.weight")
    assert isinstance(experts, PackedWeight)
    assert (experts.kind, experts.shape) == ("Q4_0", (2, 3, 32))
    assert experts[1].data.shape == (3, 18)


def test_what_was_read_outlives_the_checkpoint(write, small_gguf) -> None:
    path = write("m.gguf", small_gguf)
    checkpoint = GgufCheckpoint(path)
    before = [as_floats(checkpoint.read(name)).tolist() for name in checkpoint.tensors]
    kept = [checkpoint.read(name) for name in checkpoint.tensors]
    checkpoint.close()
    assert [as_floats(weight).tolist() for weight in kept] == before


def test_writing_to_what_was_read_never_reaches_the_file(write, small_gguf) -> None:
    path = write("m.gguf", small_gguf)
    checkpoint = GgufCheckpoint(path)
    packed = checkpoint.read("token_embd.weight")
    assert isinstance(packed, PackedWeight)
    packed.data.zero_()
    assert path.read_bytes() == small_gguf


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_a_scale_that_is_no_number_is_refused(write, make_gguf, scale: float) -> None:
    block = struct.pack("<e", scale) + bytes(16)
    checkpoint = GgufCheckpoint(write("m.gguf", make_gguf({"a": ("Q4_0", (1, 32), block)})))
    message = (
        "m.gguf is damaged: 'a' has scales that are infinite or not numbers; download it again"
    )
    with pytest.raises(BadCheckpoint, match=message):
        checkpoint.read("a")


def test_a_file_that_cannot_be_mapped_is_named(write, small_gguf, monkeypatch) -> None:
    def map_read_only(fileno: int, length: int, *, access: int) -> mmap.mmap:
        if access != mmap.ACCESS_READ:
            raise OSError(12, "Cannot allocate memory")
        return map_file(fileno, length, access=access)

    path, map_file = write("m.gguf", small_gguf), mmap.mmap
    monkeypatch.setattr(mmap, "mmap", map_read_only)
    opening_fails(path, "m.gguf cannot be mapped: Cannot allocate memory")


@pytest.fixture
def parts(tmp_path: Path, make_gguf: Callable[..., bytes]) -> list[Path]:
    """Write a file in three parts; the first holds the metadata only."""
    tensors = [{}, {"a": ("F32", (1,), bytes(4))}, {"b": ("F32", (2,), struct.pack("<2f", 3, 4))}]
    paths = []
    for number, part in enumerate(tensors):
        metadata = {"split.no": (2, number), "split.count": (2, 3)}
        if number == 0:
            metadata |= {"split.tensors.count": (5, 2), "general.architecture": (8, "llama")}
        path = tmp_path / f"m-{number + 1:05}-of-00003.gguf"
        path.write_bytes(make_gguf(part, metadata))
        paths.append(path)
    return paths


@pytest.mark.parametrize("opened", [0, 1, 2])
def test_any_part_opens_the_whole(parts: list[Path], opened: int) -> None:
    checkpoint = GgufCheckpoint(parts[opened])
    assert list(checkpoint.tensors) == ["a", "b"]
    assert checkpoint.tensors["b"].file == "m-00003-of-00003.gguf"
    assert as_floats(checkpoint.read("b")).tolist() == [3, 4]
    assert checkpoint.metadata.text("general.architecture") == "llama"


def test_missing_parts_are_named_and_counted(parts: list[Path]) -> None:
    parts[1].unlink()
    opening_fails(parts[0], "lacks 1 of 3 parts: 'm-00002-of-00003.gguf'; download them")


def test_a_part_of_another_name_is_refused(parts: list[Path]) -> None:
    renamed = parts[0].rename(parts[0].with_name("renamed.gguf"))
    opening_fails(
        renamed, "renamed.gguf is one of 3 parts, but its name does not end in -00001-of-"
    )


def test_a_part_in_the_place_of_another_is_refused(parts: list[Path]) -> None:
    parts[2].write_bytes(parts[1].read_bytes())
    opening_fails(
        parts[0], "m-00003-of-00003.gguf says that it is part 1 of 3, counted from 0; expected is 2"
    )


def test_a_tensor_in_two_parts_is_refused(parts: list[Path], make_gguf) -> None:
    metadata = {"split.no": (2, 2), "split.count": (2, 3)}
    parts[2].write_bytes(make_gguf({"a": ("F32", (1,), bytes(4))}, metadata))
    opening_fails(parts[0], "m-00003-of-00003.gguf repeats tensors of the parts before it: 'a'")


def test_a_total_that_is_not_reached_is_refused(parts: list[Path], make_gguf) -> None:
    metadata = {"split.no": (4, 0), "split.count": (4, 3), "split.tensors.count": (10, 7)}
    parts[0].write_bytes(make_gguf({}, metadata))
    opening_fails(parts[0], "its 3 parts hold 2 tensors, the first promises 7")


def mutate(data: bytes, seed: int) -> bytes:
    """Damage a file: bits, bytes, wide numbers, cuts, doubled or lost stretches."""
    draw = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(damaged))
        match draw.randrange(6):
            case 0:
                damaged[at] ^= 1 << draw.randrange(8)
            case 1:
                damaged[at] = draw.choice([0, 1, 0x7F, 0x80, 0xFF])
            case 2:
                number = draw.choice(
                    [0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, draw.getrandbits(64)]
                )
                damaged[at : at + 8] = number.to_bytes(8, "little")
            case 3:
                del damaged[at:]
            case 4:
                del damaged[at : at + draw.randint(1, 64)]
            case _:
                damaged[at:at] = damaged[at : at + draw.randint(1, 64)]
        if not damaged:
            return b""
    return bytes(damaged)


def reading_fails(path: Path) -> str:
    """Read everything; give the error's text, or nothing."""
    try:
        checkpoint = GgufCheckpoint(path)
        for name, expected in checkpoint.tensors.items():
            assert as_floats(checkpoint.read(name)).shape == expected.shape
    except BadCheckpoint as error:
        return str(error)
    return ""


def test_mutated_files_are_refused_or_read_and_nothing_else(write, small_gguf) -> None:
    errors = [
        reading_fails(write("m.gguf", mutate(small_gguf, seed))) for seed in range(NUM_MUTANTS)
    ]
    assert all("m.gguf" in error for error in errors if error)
    assert NUM_MUTANTS // 2 < len(errors) - errors.count("") < NUM_MUTANTS


def test_mutated_headers_are_refused_or_read_and_nothing_else(write, small_gguf) -> None:
    header_bytes = small_gguf.index(b"blk.0.attn_k.weight") + 60
    header, data = small_gguf[:header_bytes], small_gguf[header_bytes:]
    errors = [
        reading_fails(write("m.gguf", mutate(header, seed) + data)) for seed in range(NUM_MUTANTS)
    ]
    assert all("m.gguf" in error for error in errors if error)
