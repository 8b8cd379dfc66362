"""What others quantized becomes blocks of ours: to the bit where these can spell it."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from myna.core.errors import BadCheckpoint, Unsupported
from myna.core.progress import silent
from myna.kernels.packed import PackedWeight, dequantize, permute_rows
from myna.models.tiny import write_tiny_checkpoint
from myna.weights.gguf import GgufCheckpoint
from myna.weights.gguf_folder import METADATA, GgufFolder
from myna.weights.grouped import GroupedCheckpoint
from myna.weights.open import open_checkpoint
from myna.weights.quantize.encode import encode_rows
from myna.weights.quantize.folder import quantize_folder
from myna.weights.quantize.sources import open_network

DOWN = "model.layers.0.mlp.down_proj"


def write_grouped(folder: Path, *, zero: int | None, group: int = 32) -> Path:
    """Write a tiny model whose down projections are in GPTQ's form, zeros drawn or all alike."""
    write_tiny_checkpoint(folder, "qwen2", dtype="bfloat16")
    generator = torch.Generator().manual_seed(0)
    for path in sorted(folder.glob("*.safetensors")):
        tensors = load_file(path)
        for name in [name for name in tensors if "down_proj" in name]:
            rows, columns = tensors.pop(name).shape
            count = columns // group
            base = name.removesuffix(".weight")
            words = torch.randint(-(2**31), 2**31, (columns // 8, rows), generator=generator)
            zeros = torch.randint(-(2**31), 2**31, (count, rows // 8), generator=generator)
            if zero is not None:
                stored = zero - 1
                zeros = torch.full_like(zeros, int.from_bytes(bytes([stored * 17] * 4), "little"))
            tensors |= {
                f"{base}.qweight": words.int(),
                f"{base}.qzeros": zeros.int(),
                f"{base}.scales": (torch.rand(count, rows, generator=generator) / 100).half(),
            }
        save_file(tensors, path)
    places = {name: path.name for path in folder.glob("*.safetensors") for name in load_file(path)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    config = json.loads((folder / "config.json").read_bytes())
    section = {"quant_method": "gptq", "bits": 4, "group_size": group}
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": section}))
    return folder


def read(folder: Path, name: str) -> PackedWeight:
    found = open_checkpoint(folder).read(name)
    assert isinstance(found, PackedWeight)
    return found


@pytest.mark.parametrize(
    ("bits", "zero", "kind"), [(4, 8, "Q4_0_R16"), (6, None, "Q6_0_R16"), (8, None, "Q8_0_R16")]
)
def test_what_blocks_can_spell_is_exact(tmp_path: Path, bits: Any, zero: Any, kind: str) -> None:
    source = write_grouped(tmp_path / "source", zero=zero)
    quantize_folder(source, tmp_path / "out", bits=bits, progress=silent)
    found = read(tmp_path / "out", f"{DOWN}.weight")
    expected = GroupedCheckpoint(source).read(f"{DOWN}.weight")
    assert isinstance(expected, Tensor)
    assert found.kind == kind
    assert torch.equal(dequantize(found, torch.float32), expected)
    config = json.loads((tmp_path / "out/config.json").read_bytes())
    assert "quantization_config" not in config
    assert config["model_type"] == "qwen2"


def test_what_blocks_cannot_spell_is_rounded_and_told(tmp_path: Path) -> None:
    source = write_grouped(tmp_path / "source", zero=None)
    report = quantize_folder(source, tmp_path / "out", bits=4, progress=silent)
    found = dequantize(read(tmp_path / "out", f"{DOWN}.weight"), torch.float32)
    expected = GroupedCheckpoint(source).read(f"{DOWN}.weight")
    assert isinstance(expected, Tensor)
    error = float((found - expected).norm() / expected.norm())
    assert 0.01 < error < 0.15
    assert report.error["Q4_0_R16"] > 0.01
    stored = sum(path.stat().st_size for path in source.glob("*.safetensors"))
    assert stored * 0.9 < report.bytes_before < stored  # of the files, without their headers


def test_a_part_that_changes_makes_all_new(tmp_path: Path) -> None:
    source = write_grouped(tmp_path / "source", zero=8)
    before = {name: shard.stamp for name, shard in open_network(source).shards.items()}
    first = sorted(source.glob("*.safetensors"))[0]
    save_file(load_file(first), first, metadata={"again": "yes"})
    after = {name: shard.stamp for name, shard in open_network(source).shards.items()}
    assert all(before[name] != after[name] for name in before)


def q4_0(values: Tensor) -> bytes:
    return encode_rows("Q4_0", values).numpy().tobytes()


@pytest.fixture
def gguf(make_gguf: Callable[..., bytes], write: Callable[[str, bytes], Path]) -> Path:
    """Write a GGUF file of few tensors."""
    generator = torch.Generator().manual_seed(0)
    values = {
        "token_embd.weight": torch.randn(16, 64, generator=generator),
        "blk.0.attn_q.weight": torch.randn(32, 64, generator=generator),
        "blk.0.ffn_up_exps.weight": torch.randn(2, 16, 64, generator=generator),
        "blk.0.ffn_gate_inp.weight": torch.randn(2, 64, generator=generator),
    }
    many = torch.randint(0, 256, (16, 144), generator=generator, dtype=torch.uint8)
    many[:, :4] = torch.tensor([0.01, 0.02]).half().view(torch.uint8)
    data = make_gguf(
        {
            "token_embd.weight": ("Q4_0", (16, 64), q4_0(values["token_embd.weight"])),
            "blk.0.attn_q.weight": (
                "Q8_0",
                (32, 64),
                encode_rows("Q8_0", values["blk.0.attn_q.weight"]).numpy().tobytes(),
            ),
            "blk.0.ffn_up_exps.weight": (
                "Q4_0",
                (2, 16, 64),
                q4_0(values["blk.0.ffn_up_exps.weight"]),
            ),
            "blk.0.ffn_gate_inp.weight": (
                "Q4_0",
                (2, 64),
                q4_0(values["blk.0.ffn_gate_inp.weight"]),
            ),
            "blk.0.attn_k.weight": ("Q4_K", (16, 256), many.numpy().tobytes()),
            "output_norm.weight": ("F32", (64,), struct.pack("<64f", *range(64))),
        },
        {"general.architecture": (8, "llama"), "a.texts": (9, (8, ["a", "b"])), "n": (4, 7)},
    )
    return write("model.gguf", data)


def test_blocks_of_a_file_become_ours(gguf: Path, tmp_path: Path) -> None:
    report = quantize_folder(gguf, tmp_path / "out", bits=4, progress=silent)
    before, after = GgufCheckpoint(gguf), open_checkpoint(tmp_path / "out")
    assert isinstance(after, GgufFolder)
    assert dict(after.metadata) == dict(before.metadata)
    assert {name: info.dtype for name, info in after.tensors.items()} == {
        "token_embd.weight": "Q4_0_R16",  # no more than the source has
        "blk.0.attn_q.weight": "Q4_F8_R16",
        "blk.0.ffn_up_exps.weight": "Q4_0_R16",
        "blk.0.ffn_gate_inp.weight": "Q4_0",  # a router, kept as it is
        "blk.0.attn_k.weight": "Q4_F8_R16",
        "output_norm.weight": "F32",
    }
    for name in ("token_embd.weight", "blk.0.ffn_up_exps.weight", "blk.0.ffn_gate_inp.weight"):
        old, new = before.read(name), after.read(name)
        assert isinstance(old, PackedWeight)
        assert isinstance(new, PackedWeight)
        assert new.shape == old.shape
        assert torch.equal(dequantize(new, torch.float32), dequantize(old, torch.float32))
    norm = after.read("output_norm.weight")
    assert torch.equal(norm, torch.arange(64.0))
    assert report.bytes_before == sum(info.num_bytes for info in before.tensors.values())
    after.forget("token_embd.weight")
    after.close()


def test_more_bits_than_the_source_has_are_not_spent(gguf: Path, tmp_path: Path) -> None:
    quantize_folder(gguf, tmp_path / "out", bits=8, progress=silent)
    after = open_checkpoint(tmp_path / "out")
    kinds = {name: info.dtype for name, info in after.tensors.items()}
    assert kinds["blk.0.attn_q.weight"] == "Q8_0_R16"
    assert kinds["blk.0.ffn_up_exps.weight"] == "Q4_0_R16"
    assert kinds["blk.0.attn_k.weight"] == "Q6_0_R16"  # of 4.5 bits, with floors
    old = GgufCheckpoint(gguf).read("blk.0.attn_q.weight")
    new = after.read("blk.0.attn_q.weight")
    assert isinstance(old, PackedWeight)
    assert isinstance(new, PackedWeight)
    assert torch.equal(dequantize(new, torch.float32), dequantize(old, torch.float32))


def test_rows_of_tiles_can_be_put_into_order(gguf: Path, tmp_path: Path) -> None:
    quantize_folder(gguf, tmp_path / "out", bits=8, progress=silent)
    tiled = read(tmp_path / "out", "blk.0.attn_q.weight")
    order = torch.randperm(32, generator=torch.Generator().manual_seed(1))
    moved = permute_rows(tiled, order)
    assert isinstance(moved, PackedWeight)
    expected = dequantize(tiled, torch.float32)[order]
    assert torch.equal(dequantize(moved, torch.float32), expected)


def test_damaged_metadata_are_told(gguf: Path, tmp_path: Path) -> None:
    quantize_folder(gguf, tmp_path / "out", bits=4, progress=silent)
    (tmp_path / "out" / METADATA).write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(BadCheckpoint, match=r"metadata\.gguf"):
        open_checkpoint(tmp_path / "out")


def test_what_was_made_of_a_file_is_not_quantized_again(gguf: Path, tmp_path: Path) -> None:
    quantize_folder(gguf, tmp_path / "out", bits=4, progress=silent)
    message = "tensors that are quantized already, such as"
    with pytest.raises(Unsupported, match=re.escape(message)):
        quantize_folder(tmp_path / "out", tmp_path / "twice", bits=4, progress=silent)
