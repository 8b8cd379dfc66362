"""A tiny Qwen-Image-Edit, written and loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from myna.models.qwen_image_edit.config import TextEncoderConfig, TransformerConfig, VaeConfig
from myna.models.qwen_image_edit.text_encoder import TextEncoder
from myna.models.qwen_image_edit.vae import Vae
from myna.models.qwen_image_edit.weights import (
    ENCODER_RULES,
    TRANSFORMER_RULES,
    VAE_RULES,
    EditTransformer,
)
from myna.models.tiny_image_edit import write_tiny_image_edit
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_image_edit(tmp_path_factory.mktemp("edit"))


def _config(folder: Path, part: str) -> dict[str, object]:
    return json.loads((folder / part / "config.json").read_text())


@pytest.fixture
def text_encoder(tiny: Path) -> TextEncoder:
    with torch.device("meta"):
        network = TextEncoder(TextEncoderConfig.from_hf(_config(tiny, "text_encoder")))
    load_weights(
        network, open_checkpoint(tiny / "text_encoder"), ENCODER_RULES, dtype=torch.float32
    )
    return network


@pytest.fixture
def transformer(tiny: Path) -> EditTransformer:
    with torch.device("meta"):
        network = EditTransformer(TransformerConfig.from_hf(_config(tiny, "transformer")))
    load_weights(
        network, open_checkpoint(tiny / "transformer"), TRANSFORMER_RULES, dtype=torch.float32
    )
    return network


@pytest.fixture
def vae(tiny: Path) -> Vae:
    with torch.device("meta"):
        network = Vae(VaeConfig.from_hf(_config(tiny, "vae")))
    load_weights(network, open_checkpoint(tiny / "vae"), VAE_RULES, dtype=torch.float32)
    return network
