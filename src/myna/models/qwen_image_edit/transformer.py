"""Diffusion transformer: from noisy latents, pictures' latents and a text to the way out of noise.

    text (N, text width) ────► txt_norm, txt_in ──┐
                                                  ├─► blocks, attending to one another
    latents (N, 4*C): noise, then pictures ─► img_in ─┘        └─► rows of the noise ─► proj_out

Not here: the time step (modulation), the loop over time steps (diffusion).
Source: diffusers 0.42.1 `QwenImageTransformer2DModel`; arXiv:2508.02324 §2.
Differs: tokens are packed (N, D), each pass with its own length and no mask; q, k and v are one
matrix; modulation comes from outside; what is discarded at the end is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional

from myna.layers.linear import Linear
from myna.layers.norm import RmsNorm
from myna.models.qwen_image_edit.attention import attend
from myna.models.qwen_image_edit.config import TransformerConfig
from myna.models.qwen_image_edit.modulation import NORM_EPS, BlockShifts, Step, modulated
from myna.models.qwen_image_edit.rope import Grid, PairRope, PictureRopeTable

Streams = tuple[Tensor, ...]  # (num_latents, D) of each pass

Shortcut = Callable[[Streams, Streams, Callable[[], Streams]], Streams]
"""Called with what entered and what left the first block, and a function that runs all others;
gives what leaves the last one, whether it ran them or not."""

MLP_FACTOR = 4
MLP_ROWS = 1024  # worked on at once, so that what is between the two matrices stays small


@dataclass(frozen=True)
class Pass:
    """Hold one pass through the blocks: one prompt, one picture to be made.

    Attributes:
        image: (N, D), noise first, then pictures.
        text: (N, D).
        image_rope: rotations of the image's tokens.
        text_rope: rotations of the text's tokens.
    """

    image: Tensor
    text: Tensor
    image_rope: PairRope
    text_rope: PairRope


class Attention(nn.Module):
    """Let text and pictures attend to one another, each with matrices of its own."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, head_width = config.width, config.head_width
        self.num_heads = config.num_heads
        self.to_qkv = Linear(width, 3 * width, bias=True)
        self.add_qkv_proj = Linear(width, 3 * width, bias=True)
        self.norm_q = RmsNorm(head_width, eps=NORM_EPS)
        self.norm_k = RmsNorm(head_width, eps=NORM_EPS)
        self.norm_added_q = RmsNorm(head_width, eps=NORM_EPS)
        self.norm_added_k = RmsNorm(head_width, eps=NORM_EPS)
        self.to_out = Linear(width, width, bias=True)
        self.to_add_out = Linear(width, width, bias=True)

    def forward(
        self, image: Tensor, text: Tensor, image_rope: PairRope, text_rope: PairRope
    ) -> tuple[Tensor, Tensor]:
        """Map (N, D) of pictures and (N, D) of text to the same; text stands first in between."""
        q, k, v = self.to_qkv(image).unflatten(-1, (3, self.num_heads, -1)).unbind(1)  # (N, H, K)
        text_q, text_k, text_v = (
            self.add_qkv_proj(text).unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        )
        q = torch.cat(
            (text_rope.rotate(self.norm_added_q(text_q)), image_rope.rotate(self.norm_q(q)))
        )
        k = torch.cat(
            (text_rope.rotate(self.norm_added_k(text_k)), image_rope.rotate(self.norm_k(k)))
        )
        v = torch.cat((text_v, v))
        heads = (x.transpose(0, 1).contiguous() for x in (q, k, v))  # (H, N, K)
        mixed = attend(*heads).transpose(0, 1).flatten(-2)  # (N, H*K)
        return self.to_out(mixed[len(text) :]), self.to_add_out(mixed[: len(text)])


class Mlp(nn.Module):
    """A feed-forward network with one hidden layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, MLP_FACTOR * width, bias=True)
        self.fc2 = Linear(MLP_FACTOR * width, width, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, D) to (N, D), some rows at a time."""
        return torch.cat(
            [
                self.fc2(functional.gelu(self.fc1(rows), approximate="tanh"))
                for rows in x.split(MLP_ROWS)
            ]
        )


class Block(nn.Module):
    """Add joint attention, then a feed-forward network for each stream, all modulated."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attn = Attention(config)
        self.img_mlp = Mlp(config.width)
        self.txt_mlp = Mlp(config.width)

    def forward(self, x: Pass, image_shifts: BlockShifts, text_shifts: BlockShifts) -> Pass:
        """Advance both streams."""
        image_out, text_out = self.attn(
            image_shifts.attention.enter(x.image),
            text_shifts.attention.enter(x.text),
            x.image_rope,
            x.text_rope,
        )
        image = image_shifts.attention.leave(x.image, image_out)
        text = text_shifts.attention.leave(x.text, text_out)
        image = image_shifts.mlp.leave(image, self.img_mlp(image_shifts.mlp.enter(image)))
        text = text_shifts.mlp.leave(text, self.txt_mlp(text_shifts.mlp.enter(text)))
        return Pass(image, text, x.image_rope, x.text_rope)


class Transformer(nn.Module):
    """Predict the velocity of latents.

    Args:
        config: of the transformer.
        has_blocks: whether it holds its blocks, or is handed them one after another.
    """

    def __init__(self, config: TransformerConfig, *, has_blocks: bool = True) -> None:
        super().__init__()
        self.config = config
        self.txt_norm = RmsNorm(config.text_width, eps=NORM_EPS)
        self.txt_in = Linear(config.text_width, config.width, bias=True)
        self.img_in = Linear(config.token_channels, config.width, bias=True)
        count = config.num_layers if has_blocks else 0
        self.transformer_blocks = nn.ModuleList(Block(config) for _ in range(count))
        self.proj_out = Linear(config.width, config.token_channels, bias=True)
        self.rope_table = PictureRopeTable(config.axis_widths)

    @property
    def dtype(self) -> torch.dtype:
        """Give the dtype of activations; norms are never packed, so theirs is it."""
        return self.txt_norm.weight.dtype

    def prepare(
        self, latents: Tensor, pictures: Tensor, text: Tensor, grids: Sequence[Grid]
    ) -> Pass:
        """Embed what one pass reads.

        Args:
            latents: (N, 4*C), noisy.
            pictures: (N, 4*C), of the pictures to be edited.
            text: (N, text width).
            grids: rows and columns of the latents' tokens, then of each picture's.
        """
        image = torch.cat((latents, pictures)).to(self.dtype)
        return Pass(
            image=self.img_in(image),
            text=self.txt_in(self.txt_norm(text.to(self.dtype))),
            image_rope=self.rope_table.pictures(grids),
            text_rope=self.rope_table.text(len(text), grids),
        )

    def forward(
        self,
        passes: Sequence[Pass],
        step: Step,
        *,
        num_latents: int,
        blocks: Iterable[nn.Module] | None = None,
        shortcut: Shortcut | None = None,
    ) -> tuple[Tensor, ...]:
        """Run passes side by side, every block on all of them before the next.

        Args:
            passes: made by `prepare`.
            step: modulation of the time step.
            num_latents: tokens of noise, the first ones of each pass.
            blocks: to be run in place of `self.transformer_blocks`.
            shortcut: decides whether blocks after the first are run; without it, all are.

        Returns:
            (num_latents, 4*C) of each.
        """
        numbered = enumerate(self.transformer_blocks if blocks is None else blocks)

        def latents_of(running: Sequence[Pass]) -> Streams:
            return tuple(x.image[:num_latents] for x in running)

        if shortcut is None:
            ended = latents_of(_advance(passes, step, numbered))
        else:
            first = _advance(passes, step, islice(numbered, 1))
            ended = shortcut(
                latents_of(passes),
                latents_of(first),
                lambda: latents_of(_advance(first, step, numbered)),
            )
        scale, shift = step.out.chunk(2)
        return tuple(self.proj_out(modulated(x, scale, shift)) for x in ended)


def _advance(
    passes: Sequence[Pass], step: Step, numbered: Iterable[tuple[int, nn.Module]]
) -> list[Pass]:
    """Run some of the blocks, each told by its number, on all passes."""
    running = list(passes)
    for idx, block in numbered:
        image_shifts, text_shifts = step.block(idx)
        for number, x in enumerate(running):
            running[number] = block(x, image_shifts, text_shifts)
    return running
