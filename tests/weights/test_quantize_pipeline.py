"""A folder of several networks becomes smaller, and draws nearly the same velocity."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from myna.core.errors import InvalidRequest, Unavailable
from myna.core.progress import silent
from myna.kernels.packed import Packed
from myna.models.tiny_image_edit import write_tiny_image_edit
from myna.pipeline.edit_parts import EditParts, open_edit_files
from myna.weights.quantize.pipeline import quantize_pipeline


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_image_edit(tmp_path_factory.mktemp("edit"))


def velocity(folder: Path, *, memory_bytes: int = 0) -> tuple[EditParts, torch.Tensor]:
    parts = EditParts(
        open_edit_files(folder), dtype=torch.float32, memory_bytes=memory_bytes, progress=silent
    )
    generator = torch.Generator().manual_seed(0)
    latents, pictures, text = (
        torch.randn(*shape, generator=generator) for shape in ((6, 64), (4, 64), (5, 32))
    )
    (step,) = parts.modulation([0.5])
    with torch.inference_mode():
        made = parts.transformer.prepare(latents, pictures, text, [(2, 3), (2, 2)])
        return parts, parts.transformer([made], step, num_latents=6, blocks=parts.blocks)[0]


@pytest.mark.parametrize(("bits", "bar"), [(8, 0.02), (4, 0.35)])
def test_a_quantized_pipeline_stays_packed_and_draws_nearly_the_same(
    source: Path, tmp_path: Path, bits, bar: float
) -> None:
    target = tmp_path / "small"
    report = quantize_pipeline(source, target, bits=bits, progress=silent)
    assert report.bytes_after < report.bytes_before
    assert sum(n for kind, n in report.num_tensors.items() if kind.startswith(f"Q{bits}_")) > 40
    _, expected = velocity(source)
    parts, found = velocity(target, memory_bytes=10**9)
    block, layer = next(iter(parts.blocks)), next(iter(parts.layers))
    assert isinstance(block.attn.to_qkv.weight, Packed)
    assert isinstance(layer.mlp.gate_up_proj.weight, Packed)
    error = float((found - expected).norm() / expected.norm())
    assert error < bar
    assert json.loads((target / "model_index.json").read_text())["transformer"]
    assert (target / "tokenizer/vocab.json").is_file()
    before, after = (folder / "vae/config.json" for folder in (source, target))
    assert before.read_bytes() == after.read_bytes()


def test_nothing_is_overwritten(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="is there already"):
        quantize_pipeline(source, tmp_path, bits=8, progress=silent)


def test_a_place_that_cannot_be_written_is_told(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be written"):
        quantize_pipeline(source, tmp_path / "file/small", bits=8, progress=silent)
    assert not (tmp_path / "small").exists()
