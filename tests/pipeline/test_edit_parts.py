"""Networks that are read in pieces equal those that are not, and bad folders are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from myna.core.errors import BadCheckpoint
from myna.core.progress import silent
from myna.diffusion.schedule import Schedule
from myna.models.qwen_image_edit.lora import ChangedLinear
from myna.models.tiny_image_edit import write_tiny_image_edit
from myna.pipeline.edit_parts import EditParts, Streamed, open_edit_files, read_schedule


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_image_edit(tmp_path_factory.mktemp("edit"))


def parts_of(folder: Path, *, memory_bytes: int, lora: Path | None = None) -> EditParts:
    return EditParts(
        open_edit_files(folder),
        dtype=torch.float32,
        memory_bytes=memory_bytes,
        progress=silent,
        lora=lora,
    )


def velocity(parts: EditParts) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    latents, pictures, text = (
        torch.randn(*shape, generator=generator) for shape in ((6, 64), (4, 64), (5, 32))
    )
    (step,) = parts.modulation([0.5])
    with torch.inference_mode():
        made = parts.transformer.prepare(latents, pictures, text, [(2, 3), (2, 2)])
        return parts.transformer([made], step, num_latents=6, blocks=parts.blocks)[0]


def test_streamed_blocks_equal_blocks_that_stay(folder: Path) -> None:
    streamed, kept = (parts_of(folder, memory_bytes=size) for size in (0, 10**9))
    first, second = list(streamed.blocks), list(streamed.blocks)
    assert all(left is not right for left, right in zip(first, second, strict=True))
    assert list(kept.blocks) == list(kept.blocks)
    assert torch.equal(velocity(streamed), velocity(kept))
    streamed.close()


def test_as_many_modules_stay_as_there_is_room_for() -> None:
    loaded = []

    def load(idx: int) -> nn.Module:
        loaded.append(idx)
        return nn.Identity()

    modules = Streamed(4, load, num_kept=2)
    assert len(list(modules)) == len(modules) == 4
    assert loaded == [0, 1, 2, 3]
    list(modules)
    assert loaded[4:] == [2, 3]


def test_a_module_that_cannot_be_read_fails_the_walk() -> None:
    def load(idx: int) -> nn.Module:
        if idx == 1:
            raise BadCheckpoint("cut short")
        return nn.Identity()

    with pytest.raises(BadCheckpoint, match="cut short"):
        list(Streamed(3, load, num_kept=0))


def test_a_schedules_modulation_is_computed_once(folder: Path) -> None:
    parts = parts_of(folder, memory_bytes=0)
    assert parts.modulation([1.0, 0.5]) is parts.modulation([1.0, 0.5])
    assert parts.modulation([1.0, 0.4]) is not parts.modulation([1.0, 0.5])


def test_changes_reach_streamed_blocks_and_modulation(folder: Path, tmp_path: Path) -> None:
    lora = tmp_path / "lora.safetensors"
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for module, rows, columns in (
        ("transformer_blocks.1.attn.to_v", 32, 32),
        ("transformer_blocks.2.txt_mod.1", 192, 32),
        ("proj_out", 64, 32),
    ):
        tensors[f"{module}.lora_A.weight"] = torch.randn(2, columns, generator=generator)
        tensors[f"{module}.lora_B.weight"] = torch.randn(rows, 2, generator=generator)
    save_file(tensors, lora)
    plain, changed = parts_of(folder, memory_bytes=0), parts_of(folder, memory_bytes=0, lora=lora)
    assert isinstance(list(changed.blocks)[1].attn.to_qkv, ChangedLinear)
    assert isinstance(changed.transformer.proj_out, ChangedLinear)
    before, after = plain.modulation([0.5])[0], changed.modulation([0.5])[0]
    assert torch.equal(before.image, after.image)
    assert not torch.allclose(before.text[2], after.text[2])
    assert not torch.allclose(velocity(plain), velocity(changed))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def rewrite(path: Path, **changes: object) -> None:
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("vae/config.json", {"z_dim": 8}, "`latents_mean`"),
        ("vae/config.json", {"attn_scales": [1]}, "an empty list is expected"),
        ("vae/config.json", {"dim_mult": []}, "a list of 1 to 8 numbers"),
        ("vae/config.json", {"latents_std": [0.0] * 16}, "16 finite numbers above 0"),
        ("vae/config.json", {"base_dim": 6}, "does not fit the model"),
        ("transformer/config.json", {"zero_cond_t": True}, "`zero_cond_t` is True"),
        ("transformer/config.json", {"in_channels": 32}, "`in_channels` is 32, but 64"),
        ("transformer/config.json", {"axes_dims_rope": [4, 4, 4]}, "three even numbers"),
        ("transformer/config.json", {"joint_attention_dim": 16}, "different models"),
        ("transformer/config.json", {"num_layers": 4}, "parameters of the model have no tensor"),
        ("processor/preprocessor_config.json", {"patch_size": 16}, "the text encoder's 14"),
        ("processor/preprocessor_config.json", {"image_mean": [0.5]}, "a list of three numbers"),
        ("processor/preprocessor_config.json", {"image_std": [0.5, 0, 0.5]}, "three numbers above"),
        ("text_encoder/config.json", {"vision_config": None}, "`vision_config`"),
        ("scheduler/scheduler_config.json", {"_class_name": "Other"}, "'Other'"),
        ("scheduler/scheduler_config.json", {"use_karras_sigmas": True}, "`use_karras_sigmas`"),
        ("scheduler/scheduler_config.json", {"use_dynamic_shifting": False}, "true is expected"),
        ("scheduler/scheduler_config.json", {"time_shift_type": "linear"}, "'exponential'"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(copy: Path, file, changes, message) -> None:
    rewrite(copy / file, **changes)
    with pytest.raises(BadCheckpoint, match=message):
        open_edit_files(copy)


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("vision_config", {"num_heads": 3}, "a divisor of a quarter of 32"),
        ("vision_config", {"out_hidden_size": 16}, "the decoder's 32"),
        ("text_config", {"rope_scaling": {"mrope_section": [1, 2]}}, "add up to 8"),
        ("text_config", {"rope_scaling": None}, "`rope_parameters`"),
    ],
)
def test_a_text_encoder_that_does_not_fit_is_refused(copy, section, changes, message) -> None:
    path = copy / "text_encoder/config.json"
    values = json.loads(path.read_text())
    rewrite(path, **{section: values[section] | changes})
    with pytest.raises(BadCheckpoint, match=message):
        open_edit_files(copy)


def test_bounds_of_pictures_may_be_left_out(copy: Path) -> None:
    rewrite(copy / "processor/preprocessor_config.json", min_pixels=None, max_pixels=None)
    rule = open_edit_files(copy).rule
    assert (rule.patch_px, rule.min_px, rule.max_px) == (14, 3136, 12_845_056)


def test_the_released_schedule_is_read(folder: Path) -> None:
    assert read_schedule(folder / "scheduler/scheduler_config.json") == Schedule()


def test_a_damaged_shard_is_told_when_it_is_read(copy: Path) -> None:
    shard = max((copy / "transformer").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(BadCheckpoint):
        open_edit_files(copy)
