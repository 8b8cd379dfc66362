"""Autoencoder: pictures to latents and back, as a network of flat convolutions.

The released network is one for video; of a single frame, every convolution in time sees nothing but
its last tap, and what changes the number of frames is skipped. What is left is flat, and exact.
Source: diffusers 0.42.1 `AutoencoderKLQwenImage`; arXiv:2508.02324 §2.
Differs: single frames only; latents come out normalised, and their mean is taken, never a sample.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.models.qwen_image_edit.attention import attend
from myna.models.qwen_image_edit.config import VaeConfig

NUM_COLOURS = 3


class RmsNorm(nn.Module):
    """Divide by the length of the vector of channels, in float32, then scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(channels), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, height, width) along C."""
        unit = functional.normalize(x.float(), dim=1).to(x.dtype)
        return unit * (self.gamma * len(self.gamma) ** 0.5)[:, None, None]


class ResidualBlock(nn.Module):
    """Add two convolutions, each behind a norm, to the input."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = RmsNorm(channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.norm2 = RmsNorm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        is_same = channels == out_channels
        self.conv_shortcut = nn.Identity() if is_same else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, height, width) to the same with other channels."""
        out = self.conv1(functional.silu(self.norm1(x), inplace=True))
        out = self.conv2(functional.silu(self.norm2(out), inplace=True))
        return out + self.conv_shortcut(x)


class AttentionBlock(nn.Module):
    """Add attention of every place to every other to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = RmsNorm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, height, width) to the same."""
        q, k, v = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=-1)
        mixed = attend(q, k, v)  # (B, N, C); pictures take the place of heads
        return x + self.proj(mixed.transpose(1, 2).unflatten(2, x.shape[2:]))


class MidBlock(nn.Module):
    """Two residual blocks, with attention between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResidualBlock(channels, channels) for _ in range(2))
        self.attentions = nn.ModuleList([AttentionBlock(channels)])

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, height, width) to the same."""
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Downsample(nn.Module):
    """Halve both sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resample = nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, stride=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, height, width) to (B, C, height/2, width/2)."""
        return self.resample(x)


class Upsample(nn.Module):
    """Double both sides and halve the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resample = nn.Sequential(
            nn.Upsample(scale_factor=2.0, mode="nearest-exact"),
            nn.Conv2d(channels, channels // 2, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, height, width) to (B, C/2, 2*height, 2*width)."""
        return self.resample(x)


class Encoder(nn.Module):
    """Turn a picture into latents, from the finest level to the coarsest."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        channels = config.width
        self.conv_in = nn.Conv2d(NUM_COLOURS, channels, 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for level, multiplier in enumerate(config.multipliers):
            for _ in range(config.num_res_blocks):
                self.down_blocks.append(ResidualBlock(channels, config.width * multiplier))
                channels = config.width * multiplier
            if level + 1 < len(config.multipliers):
                self.down_blocks.append(Downsample(channels))
        self.mid_block = MidBlock(channels)
        self.norm_out = RmsNorm(channels)
        self.conv_out = nn.Conv2d(channels, 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, height, width) to (B, 2*C, height/8, width/8)."""
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(functional.silu(self.norm_out(self.mid_block(x)), inplace=True))


class UpBlock(nn.Module):
    """One level of the decoder."""

    def __init__(self, channels: int, out_channels: int, *, num_blocks: int, is_last: bool) -> None:
        super().__init__()
        sizes = [channels, *[out_channels] * num_blocks]
        self.resnets = nn.ModuleList(ResidualBlock(left, right) for left, right in pairwise(sizes))
        self.upsamplers = nn.ModuleList([] if is_last else [Upsample(out_channels)])

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, height, width) to the next level."""
        for block in (*self.resnets, *self.upsamplers):
            x = block(x)
        return x


class Decoder(nn.Module):
    """Turn latents into a picture, from the coarsest level to the finest."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        levels = [config.width * multiplier for multiplier in reversed(config.multipliers)]
        self.conv_in = nn.Conv2d(config.latent_channels, levels[0], 3, padding=1)
        self.mid_block = MidBlock(levels[0])
        # Each upsampling halves the channels that the next level begins with.
        inputs = [levels[0], *[width // 2 for width in levels[:-1]]]
        self.up_blocks = nn.ModuleList(
            UpBlock(
                channels,
                out_channels,
                num_blocks=config.num_res_blocks + 1,
                is_last=number == len(levels),
            )
            for number, (channels, out_channels) in enumerate(
                zip(inputs, levels, strict=True), start=1
            )
        )
        self.norm_out = RmsNorm(levels[-1])
        self.conv_out = nn.Conv2d(levels[-1], NUM_COLOURS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, height, width) to (B, 3, 8*height, 8*width)."""
        x = self.mid_block(self.conv_in(x))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(functional.silu(self.norm_out(x), inplace=True))


class Vae(nn.Module):
    """Encode and decode pictures."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.quant_conv = nn.Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(config.latent_channels, config.latent_channels, 1)
        self.decoder = Decoder(config)
        self.mean = torch.tensor(config.mean, device="cpu")[:, None, None]
        self.std = torch.tensor(config.std, device="cpu")[:, None, None]

    @property
    def dtype(self) -> torch.dtype:
        """Give the dtype of activations."""
        return self.post_quant_conv.weight.dtype

    def encode(self, pictures: Tensor) -> Tensor:
        """Give the likeliest latents of pictures, normalised.

        Args:
            pictures: (B, 3, height, width) from -1 to 1; sides are multiples of 8.

        Returns:
            (B, C, height/8, width/8) float32.
        """
        moments = self.quant_conv(self.encoder(pictures.to(self.dtype)))
        mean = moments.chunk(2, dim=1)[0].float()
        return (mean - self.mean.to(mean.device)) / self.std.to(mean.device)

    def decode(self, latents: Tensor) -> Tensor:
        """Give the pictures of normalised latents.

        Args:
            latents: (B, C, height, width).

        Returns:
            (B, 3, 8*height, 8*width) float32, from -1 to 1.
        """
        latents = latents.float() * self.std.to(latents.device) + self.mean.to(latents.device)
        out = self.decoder(self.post_quant_conv(latents.to(self.dtype)))
        return out.float().clamp_(-1, 1)
