"""The audio encoder's windows and positions; equality with the reference is under parity."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from myna.layers.windows import Run
from myna.models.qwen3_omni.audio_encoder import AudioEncoder, sinusoids
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.encoder_config import AudioConfig

RELEASED = Path(__file__).parents[1] / "layouts/qwen3-omni-30b-a3b-instruct.config.json"
CONFIG = AudioConfig(
    num_mels=16,
    width=16,
    hidden_width=32,
    num_layers=1,
    num_heads=2,
    conv_channels=4,
    chunk_frames=100,
    window_chunks=8,
    out_width=24,
)


def test_windows_last_eight_seconds_and_end_with_the_clip() -> None:
    with torch.device("meta"):
        encoder = AudioEncoder(CONFIG)
    assert encoder.windows([800]) == (Run(1, 104),)
    assert encoder.windows([1700, 50]) == (Run(2, 104), Run(1, 13), Run(1, 7))
    assert encoder.windows([104, 104]) == (Run(2, 14),)


def test_each_clip_gets_as_many_rows_as_the_config_counts() -> None:
    encoder = AudioEncoder(CONFIG)
    lengths = (1, 99, 100, 101, 333)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    with torch.inference_mode():
        rows = encoder([torch.zeros(16, length) for length in lengths])
    assert rows.shape == (sum(CONFIG.num_tokens(length) for length in lengths), 24)


def test_positions_are_sines_then_cosines() -> None:
    table = sinusoids(3, 8)
    assert table[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert torch.allclose(
        table[2, ::4],
        torch.tensor([2.0, 2.0]).sin() * torch.tensor([1.0, 0])
        + (torch.tensor([2.0, 2.0]).cos() * torch.tensor([0, 1.0])),
    )


def test_the_released_encoder_has_its_published_number_of_parameters() -> None:
    config = Config.from_hf(json.loads(RELEASED.read_text(encoding="utf-8")))
    with torch.device("meta"):
        network = AudioEncoder(config.thinker.audio)
    assert sum(parameter.numel() for parameter in network.parameters()) == 647_927_168
