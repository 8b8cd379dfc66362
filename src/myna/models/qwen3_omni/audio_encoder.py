"""Audio encoder: log-mel frames of sound become embeddings for the thinker.

    mel (M, T) -> chunks -> three convolutions (T/8) -> + position within the chunk
        -> layers, attending within windows -> norm -> projection (N, D)

Not here: how samples become mel frames (media), where the embeddings go (inputs).
Source: transformers 5.23 `Qwen3OmniMoeAudioEncoder`; arXiv:2509.17765 §2.
Differs: a clip is encoded as if it were alone, so its embeddings never depend on its neighbours;
the reference pads a clip of less than a chunk as far as the longest clip of the call, and the
convolutions feel it (`pad_together` does the same).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.layers.linear import Linear
from myna.layers.windows import Run, attend, runs
from myna.models.qwen3_omni.encoder_config import AudioConfig

CHUNKS_AT_ONCE = 16  # bounds the memory of the first convolution's output
MAX_TIMESCALE = 10_000.0


class Attention(nn.Module):
    """Attention in both directions within a window."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.head_width = config.width // config.num_heads
        self.q_proj = Linear(config.width, config.width, bias=True)
        self.k_proj = Linear(config.width, config.width, bias=True)
        self.v_proj = Linear(config.width, config.width, bias=True)
        self.out_proj = Linear(config.width, config.width, bias=True)

    def forward(self, x: Tensor, windows: tuple[Run, ...]) -> Tensor:
        """Map (N, D) to (N, D)."""
        q, k, v = (
            projection(x).unflatten(-1, (-1, self.head_width))  # (N, H, K)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.out_proj(attend(q, k, v, windows).flatten(-2))


class Layer(nn.Module):
    """Add attention, then a feed-forward network, each behind a norm, to the residual stream."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(config.width)
        self.self_attn = Attention(config)
        self.final_layer_norm = nn.LayerNorm(config.width)
        self.fc1 = Linear(config.width, config.hidden_width, bias=True)
        self.fc2 = Linear(config.hidden_width, config.width, bias=True)

    def forward(self, x: Tensor, windows: tuple[Run, ...]) -> Tensor:
        """Map (N, D) to (N, D)."""
        x = x + self.self_attn(self.self_attn_layer_norm(x), windows)
        return x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))


class AudioEncoder(nn.Module):
    """Encode clips of sound."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.conv_channels
        self.conv2d1 = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.conv2d2 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.conv2d3 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.conv_out = Linear(channels * math.ceil(config.num_mels / 8), config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_layers))
        self.ln_post = nn.LayerNorm(config.width)
        self.proj1 = Linear(config.width, config.width, bias=True)
        self.proj2 = Linear(config.width, config.out_width, bias=True)

    @property
    def dtype(self) -> torch.dtype:
        """Give the dtype of activations."""
        return self.ln_post.weight.dtype

    def forward(self, mels: Sequence[Tensor], *, pad_together: bool = False) -> Tensor:
        """Encode clips, one after another.

        Args:
            mels: (M, T) float32 of each clip, T at least 1.
            pad_together: pad clips of less than a chunk as far as the longest, as the reference
                does.

        Returns:
            (N, D), packed in the order of the clips; each has `config.num_tokens(T)` rows.
        """
        x = self.embed(mels, pad_together=pad_together)  # (N, D)
        windows = self.windows([mel.shape[1] for mel in mels])
        for layer in self.layers:
            x = layer(x, windows)
        return self.proj2(functional.gelu(self.proj1(self.ln_post(x))))

    def windows(self, lengths: Sequence[int]) -> tuple[Run, ...]:
        """Cut the tokens of clips of so many frames into windows; none reaches across clips."""
        whole = self.config.window_chunks * self.config.chunk_tokens
        counts = [self.config.num_tokens(length) for length in lengths]
        return runs(
            min(whole, count - start) for count in counts for start in range(0, count, whole)
        )

    def embed(self, mels: Sequence[Tensor], *, pad_together: bool) -> Tensor:
        """Convolve the clips and number their tokens within each chunk: (N, D)."""
        longest = max(mel.shape[1] for mel in mels)
        widths = [
            min(longest if pad_together else mel.shape[1], self.config.chunk_frames) for mel in mels
        ]
        clips: dict[int, Tensor] = {}
        for width in set(widths):
            members = [i for i, found in enumerate(widths) if found == width]
            chunks = [_cut(mels[i].to(self.dtype), width) for i in members]
            tokens = self.convolve(torch.cat(chunks))  # (B, T, D)
            sizes = [len(chunk) for chunk in chunks]
            for i, clip in zip(members, tokens.split(sizes), strict=True):
                clips[i] = clip.flatten(0, 1)[: self.config.num_tokens(mels[i].shape[1])]
        return torch.cat([clips[i] for i in range(len(mels))])

    def convolve(self, chunks: Tensor) -> Tensor:
        """Shorten chunks eightfold: (B, M, T) mel frames -> (B, T/8, D)."""
        out = []
        for x in chunks[:, None].split(CHUNKS_AT_ONCE):
            for convolution in (self.conv2d1, self.conv2d2, self.conv2d3):
                x = functional.gelu(convolution(x))  # (B, C, M/2, T/2), and so on
            out.append(x.permute(0, 3, 1, 2).flatten(-2))  # (B, T/8, C*M/8)
        rows = torch.cat(out)
        # As a plain matrix: torch copies the weight for each chunk of a batch of them.
        tokens = self.conv_out(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])  # (B, T/8, D)
        places = sinusoids(tokens.shape[1], self.config.width)
        return tokens + places.to(tokens.device, tokens.dtype)


def _cut(mel: Tensor, width: int) -> Tensor:
    """Cut a clip into chunks of `width` frames, the last one padded with zeros: (B, M, width)."""
    num_chunks = math.ceil(mel.shape[1] / width)
    padded = functional.pad(mel, (0, num_chunks * width - mel.shape[1]))
    return padded.unflatten(1, (num_chunks, width)).transpose(0, 1)


def sinusoids(length: int, width: int) -> Tensor:
    """Number positions by sines, then cosines, of falling frequency: (T, D) float32, on the CPU."""
    step = math.log(MAX_TIMESCALE) / (width // 2 - 1)
    frequencies = torch.exp(-step * torch.arange(width // 2, dtype=torch.float32, device="cpu"))
    angles = torch.arange(length, device="cpu")[:, None] * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=1)
