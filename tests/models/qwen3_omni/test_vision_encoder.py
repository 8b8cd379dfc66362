"""The vision encoder's order of patches; equality with the reference is under parity."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.encoder_config import VisionConfig
from myna.models.qwen3_omni.vision_encoder import VisionEncoder

RELEASED = Path(__file__).parents[1] / "layouts/qwen3-omni-30b-a3b-instruct.config.json"
CONFIG = VisionConfig(
    num_layers=1,
    width=8,
    hidden_width=16,
    num_heads=1,
    num_channels=3,
    patch_px=2,
    patch_frames=2,
    merge=2,
    table_side=3,
    deepstack_layers=(0,),
    out_width=12,
)


def encoder() -> VisionEncoder:
    network = VisionEncoder(CONFIG)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


def test_patches_of_a_token_follow_one_another() -> None:
    places = encoder().places(2, 4).tolist()
    left, right = [[0, 0], [0, 1], [1, 0], [1, 1]], [[0, 2], [0, 3], [1, 2], [1, 3]]
    assert places == left + right


def test_the_learned_square_reaches_all_corners() -> None:
    network = encoder()
    with torch.inference_mode():
        learned = network.learned(network.places(2, 4))
        table = network.pos_embed.weight
        corners = learned[[0, 5, 2, 7]]
        assert torch.allclose(corners, table[[0, 2, 6, 8]])
        assert torch.allclose(learned[1], (table[0] + 2 * table[1]) / 3)


def test_tokens_and_features_have_the_thinkers_width() -> None:
    grids = [(1, 4, 2), (2, 2, 2)]
    with torch.inference_mode():
        seen = encoder()(torch.zeros(16, CONFIG.patch_width), grids)
    assert seen.tokens.shape == (4, 12)
    assert [features.shape for features in seen.deepstack] == [(4, 12)]


def test_the_released_encoder_has_its_published_number_of_parameters() -> None:
    config = Config.from_hf(json.loads(RELEASED.read_text(encoding="utf-8")))
    with torch.device("meta"):
        network = VisionEncoder(config.thinker.vision)
    assert sum(parameter.numel() for parameter in network.parameters()) == 538_631_408
