"""Released folders at full size: every tensor is used or left out for a reason."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import pytest
import torch
from torch import nn

from myna.models.qwen_image_edit.config import (
    EditConfig,
    TextEncoderConfig,
    TransformerConfig,
    VaeConfig,
)
from myna.models.qwen_image_edit.text_encoder import TextEncoder
from myna.models.qwen_image_edit.vae import Vae
from myna.models.qwen_image_edit.weights import (
    ENCODER_RULES,
    TRANSFORMER_RULES,
    VAE_RULES,
    EditTransformer,
    flat,
    last_frame,
)
from myna.weights.checkpoint import MetaCheckpoint
from myna.weights.load import check_layout
from myna.weights.rules import Rule

LAYOUTS = Path(__file__).parents[1] / "layouts"
NAME = "qwen-image-edit-2509"


def read_config(part: str) -> dict[str, object]:
    return json.loads((LAYOUTS / f"{NAME}.{part}.config.json").read_text())


def read_layout(part: str) -> MetaCheckpoint:
    return MetaCheckpoint.from_file(LAYOUTS / f"{NAME}.{part}.tensors.json.gz")


def check(part: str, network: nn.Module, rules: tuple[Rule, ...]) -> tuple[int, int, set[str]]:
    """Check a folder; count tensors and parameters, and say why some are left out."""
    checkpoint = read_layout(part)
    report = check_layout(network, checkpoint, rules)
    assert report.num_tensors + len(report.ignored) == len(checkpoint.tensors)
    total = sum(prod(info.shape) for info in checkpoint.tensors.values())
    return len(checkpoint.tensors), total, set(report.ignored.values())


def test_all_of_the_transformer_is_used() -> None:
    with torch.device("meta"):
        network = EditTransformer(TransformerConfig.from_hf(read_config("transformer")))
    assert check("transformer", network, TRANSFORMER_RULES) == (1933, 20_430_401_088, set())
    assert sum(p.numel() for p in network.parameters()) == 20_430_401_088


def test_all_of_the_text_encoder_but_its_head_is_used() -> None:
    with torch.device("meta"):
        network = TextEncoder(TextEncoderConfig.from_hf(read_config("text_encoder")))
    found = check("text_encoder", network, ENCODER_RULES)
    assert found == (729, 8_292_166_656, {"no word is ever chosen"})
    assert sum(p.numel() for p in network.parameters()) == 8_292_166_656 - 152_064 * 3584


def test_all_of_the_autoencoder_but_time_is_used() -> None:
    with torch.device("meta"):
        network = Vae(VaeConfig.from_hf(read_config("vae")))
    found = check("vae", network, VAE_RULES)
    assert found == (
        194,
        126_892_531,
        {"changes the number of frames, and a picture has one"},
    )


def test_the_released_networks_fit_one_another() -> None:
    config = EditConfig(
        text_encoder=TextEncoderConfig.from_hf(read_config("text_encoder")),
        transformer=TransformerConfig.from_hf(read_config("transformer")),
        vae=VaeConfig.from_hf(read_config("vae")),
    )
    assert (config.grid_px, config.transformer.width) == (16, 3072)


def test_only_the_last_tap_in_time_is_kept() -> None:
    kernel = torch.arange(2 * 3 * 3 * 2 * 2).reshape(2, 3, 3, 2, 2)
    assert torch.equal(last_frame(kernel), kernel[:, :, 2])


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 2, 2)])
def test_what_has_no_time_stays(shape: tuple[int, ...]) -> None:
    assert last_frame(torch.ones(shape)).shape == shape


def test_scales_lose_their_empty_axes() -> None:
    assert flat(torch.ones(6, 1, 1)).shape == (6,)
