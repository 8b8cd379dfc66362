"""The flat autoencoder equals convolutions in time with a single frame."""

from __future__ import annotations

import torch
from torch.nn import functional

from myna.models.qwen_image_edit.vae import Vae
from myna.models.qwen_image_edit.weights import last_frame

EXACT = 1e-5


def test_one_tap_of_a_causal_convolution_equals_it() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 6, 1, 9, 7, generator=generator)
    kernel = torch.randn(5, 6, 3, 3, 3, generator=generator) / 13
    causal = functional.conv3d(functional.pad(x, (1, 1, 1, 1, 2, 0)), kernel)[:, :, 0]
    flat = functional.conv2d(x[:, :, 0], last_frame(kernel), padding=1)
    assert torch.allclose(flat, causal, rtol=0, atol=EXACT)


def test_a_picture_keeps_its_place(vae: Vae) -> None:
    picture = torch.rand(1, 3, 48, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        latents = vae.encode(picture)
        assert latents.shape == (1, 16, 6, 4)
        assert vae.decode(latents).shape == picture.shape
        moved = vae.encode(picture.roll(8, 3))
    assert torch.allclose(moved[..., 2], latents[..., 1], atol=1.0)
