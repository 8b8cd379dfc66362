"""Latents as tokens: squares of latents side by side become one token each, and back.

Source: diffusers 0.42.1 `QwenImageEditPlusPipeline._pack_latents`, `_unpack_latents`.
Differs: noise is float32 and drawn on the CPU, so that a seed means the same everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pack(latents: Tensor, patch: int) -> Tensor:
    """Cut latents into tokens, row by row: (B, C, height, width) -> (B, N, C*patch*patch)."""
    batch, channels, height, width = latents.shape
    blocks = latents.reshape(batch, channels, height // patch, patch, width // patch, patch)
    return blocks.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def unpack(tokens: Tensor, patch: int, *, rows: int) -> Tensor:
    """Put tokens together: (B, N, C*patch*patch) in so many rows -> (B, C, height, width)."""
    batch, count, width = tokens.shape
    blocks = tokens.reshape(batch, rows, count // rows, width // patch**2, patch, patch)
    return blocks.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def draw_noise(seed: int, *, channels: int, height: int, width: int) -> Tensor:
    """Draw the noise of one picture: (1, C, height, width) float32."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, channels, height, width), generator=generator)
