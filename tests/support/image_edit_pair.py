"""Tiny Qwen-Image-Edit twice, in the reference's networks and in ours, from the same files."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
from diffusers.utils import logging as diffusers_logging
from torch import Tensor, nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.utils import logging as transformers_logging

from closeness import watch
from myna.models.qwen_image_edit.config import TextEncoderConfig, TransformerConfig, VaeConfig
from myna.models.qwen_image_edit.text_encoder import TextEncoder
from myna.models.qwen_image_edit.vae import Vae
from myna.models.qwen_image_edit.weights import (
    ENCODER_RULES,
    TRANSFORMER_RULES,
    VAE_RULES,
    EditTransformer,
)
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint


@dataclass(frozen=True)
class EditPair:
    """Hold the same weights twice."""

    text_reference: Qwen2_5_VLForConditionalGeneration
    text: TextEncoder
    transformer_reference: QwenImageTransformer2DModel
    transformer: EditTransformer
    vae_reference: AutoencoderKLQwenImage
    vae: Vae
    folder: Path


def load_ours(folder: Path) -> tuple[TextEncoder, EditTransformer, Vae]:
    """Load a folder's networks through the real loader."""
    with torch.device("meta"):
        text = TextEncoder(TextEncoderConfig.from_hf(_config(folder, "text_encoder")))
        transformer = EditTransformer(TransformerConfig.from_hf(_config(folder, "transformer")))
        vae = Vae(VaeConfig.from_hf(_config(folder, "vae")))
    for part, network, rules in (
        ("text_encoder", text, ENCODER_RULES),
        ("transformer", transformer, TRANSFORMER_RULES),
        ("vae", vae, VAE_RULES),
    ):
        load_weights(network.eval(), open_checkpoint(folder / part), rules, dtype=torch.float32)
    return text, transformer, vae


def _config(folder: Path, part: str) -> dict[str, object]:
    return json.loads((folder / part / "config.json").read_text(encoding="utf-8"))


def load_pair(folder: Path) -> EditPair:
    """Load a folder into the reference and into ours."""
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    diffusers_logging.set_verbosity(logging.CRITICAL)
    config = Qwen2_5_VLConfig.from_pretrained(folder / "text_encoder")
    config._attn_implementation = "eager"
    reference = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        folder / "text_encoder", config=config, dtype=torch.float32
    )
    transformer = QwenImageTransformer2DModel.from_pretrained(folder / "transformer")
    vae = AutoencoderKLQwenImage.from_pretrained(folder / "vae")
    for network in (reference, transformer, vae):
        network.eval().requires_grad_(False)
    ours = load_ours(folder)
    return EditPair(reference, ours[0], transformer, ours[1], vae, ours[2], folder)


def outputs(
    network: nn.Module, names: Iterable[str], run: Callable[[], Tensor]
) -> dict[str, Tensor]:
    """Run a network and keep what the named modules, and the whole, put out."""
    with watch(network, names) as kept:
        kept["out"] = run()
    return kept
