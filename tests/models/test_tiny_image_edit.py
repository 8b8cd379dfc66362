"""The tiny Qwen-Image-Edit has the folders, names and kinds of tensors of the released one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from myna.models.tiny_image_edit import write_tiny_image_edit
from myna.weights.checkpoint import MetaCheckpoint
from myna.weights.open import open_checkpoint

LAYOUTS = Path(__file__).parent / "layouts"
NUMBER = re.compile(r"\.\d+\.")
PARTS = ("text_encoder", "transformer", "vae")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_image_edit(tmp_path_factory.mktemp("edit"))


def kinds(names: object, part: str) -> set[str]:
    """Leave the numbers of layers and blocks out; the autoencoder has as many as the released."""
    return {name if part == "vae" else NUMBER.sub(".N.", name) for name in names}


@pytest.mark.parametrize("part", PARTS)
def test_tensors_are_named_and_shaped_as_the_released_ones(folder: Path, part: str) -> None:
    ours = open_checkpoint(folder / part).tensors
    released = MetaCheckpoint.from_file(
        LAYOUTS / f"qwen-image-edit-2509.{part}.tensors.json.gz"
    ).tensors
    assert kinds(ours, part) == kinds(released, part)
    for name, info in ours.items():
        if name in released:
            assert len(info.shape) == len(released[name].shape), name


def test_equal_seeds_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    again = write_tiny_image_edit(tmp_path / "again")
    other = write_tiny_image_edit(tmp_path / "other", seed=1)
    for path in sorted(folder.rglob("*.safetensors")):
        name = path.relative_to(folder)
        assert path.read_bytes() == (again / name).read_bytes()
        assert path.read_bytes() != (other / name).read_bytes()


def test_it_may_be_written_in_bfloat16(tmp_path: Path) -> None:
    folder = write_tiny_image_edit(tmp_path, dtype="bfloat16")
    for part in PARTS:
        assert {info.dtype for info in open_checkpoint(folder / part).tensors.values()} == {"BF16"}


def test_nothing_in_it_is_neutral(folder: Path) -> None:
    for part in PARTS:
        files = open_checkpoint(folder / part)
        for name in files.tensors:
            value = files.read(name)
            assert float(value.std()) > 0.01, name
            assert not torch.equal(value, torch.ones_like(value))
