"""Low-rank changes, in every public form of their names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_qwen_lora_to_diffusers
from safetensors.torch import save_file
from torch import Tensor

from myna.core.errors import BadCheckpoint
from myna.weights.lora import read_lora

MODULES = (
    "img_in",
    "norm_out.linear",
    "time_text_embed.timestep_embedder.linear_1",
    "transformer_blocks.0.attn.to_q",
    "transformer_blocks.0.attn.to_out.0",
    "transformer_blocks.11.attn.add_k_proj",
    "transformer_blocks.11.attn.to_add_out",
    "transformer_blocks.1.img_mlp.net.0.proj",
    "transformer_blocks.1.txt_mod.1",
)
FORMS = {
    "bare": ("{}.lora_down.weight", "{}.lora_up.weight", "{}.alpha"),
    "peft": ("{}.lora_A.weight", "{}.lora_B.weight", "{}.alpha"),
    "default": ("{}.lora_A.default.weight", "{}.lora_B.default.weight", "{}.alpha"),
    "prefixed": (
        "diffusion_model.{}.lora_down.weight",
        "diffusion_model.{}.lora_up.weight",
        "diffusion_model.{}.alpha",
    ),
    "transformer": (
        "transformer.{}.lora_A.weight",
        "transformer.{}.lora_B.weight",
        "transformer.{}.alpha",
    ),
    "flat": (
        "lora_unet_{}.lora_down.weight",
        "lora_unet_{}.lora_up.weight",
        "lora_unet_{}.alpha",
    ),
}


def changes(form: str) -> dict[str, Tensor]:
    """Write a rank of 2 and an alpha of 1 for each module."""
    out = {}
    for number, module in enumerate(MODULES):
        name = module.replace(".", "_") if form == "flat" else module
        down, up, alpha = (pattern.format(name) for pattern in FORMS[form])
        out[down] = torch.full((2, 3), float(number + 1))
        out[up] = torch.full((4, 2), 2.0)
        out[alpha] = torch.tensor(1.0)
    return out


def read(folder: Path, tensors: dict[str, Tensor]):
    save_file(tensors, folder / "a.safetensors")
    return read_lora(folder / "a.safetensors", MODULES, dtype=torch.float32)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_names_is_understood(tmp_path: Path, form: str) -> None:
    found = read(tmp_path, changes(form))
    assert found.keys() == set(MODULES)
    for number, module in enumerate(MODULES):
        change = found[module]
        assert torch.equal(change.up @ change.down, torch.full((4, 3), 2.0 * (number + 1)))


@pytest.mark.parametrize("form", ["bare", "prefixed", "flat"])
def test_the_reference_means_the_same(tmp_path: Path, form: str) -> None:
    found = read(tmp_path, changes(form))
    expected = _convert_non_diffusers_qwen_lora_to_diffusers(changes(form))
    for module, change in found.items():
        up, down = (expected[f"transformer.{module}.lora_{half}.weight"] for half in "BA")
        assert torch.allclose(change.up @ change.down, up @ down)


def test_without_alpha_nothing_is_scaled(tmp_path: Path) -> None:
    tensors = {name: value for name, value in changes("bare").items() if "alpha" not in name}
    assert float(read(tmp_path, tensors)["img_in"].up[0, 0]) == 2.0


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"lora_te_q.lora_down.weight": torch.ones(1, 1)}, "was made for another one"),
        ({"img_in.weight": torch.ones(1, 1)}, "change nothing in this model"),
        ({}, "was made for another one"),
        ({"img_in.lora_down.weight": torch.ones(2, 3)}, "only half of the change of 'img_in'"),
        (
            {
                "img_in.lora_down.weight": torch.ones(2, 3),
                "img_in.lora_up.weight": torch.ones(4, 1),
            },
            "do not fit each other",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, tensors, message: str) -> None:
    with pytest.raises(BadCheckpoint, match=message):
        read(tmp_path, tensors)
