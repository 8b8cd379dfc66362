"""The last part of code2wav in a few calls: convolutions over rows of time steps.

Each convolution writes what the next one reads, through the snake between them, behind the steps
that the stream has kept for it. What a stream carries is what the modules carry, so a piece may be
made either way.

Not here: what comes before (code2wav's features), the modules that spell the same, the twin.
Differs from the twin: snakes and sums are float32, and rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from myna.kernels import convolve
from myna.kernels.convolve import Snake, Steps
from myna.models.qwen3_omni import code2wav
from myna.models.qwen3_omni.code2wav import CausalConv, Code2Wav, State, TransposedConv

Conv = CausalConv | TransposedConv


@dataclass(frozen=True)
class Stage:
    """Hold one convolution and what becomes of its steps.

    Attributes:
        conv: under which streams keep their past.
        steps: its weights.
        snake: through which the next convolution reads; None after the last.
        stride: steps that are made of each.
        is_added: what is made is added to the residual stream.
        is_kept: what is made is the residual stream from now on.
    """

    conv: Conv
    steps: Steps
    snake: Snake | None
    stride: int
    is_added: bool
    is_kept: bool

    def room(self, state: State, like: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
        """Make what the convolution reads: (B, P+U, C) with its past, and the part after that."""
        kept = None
        if isinstance(self.conv, CausalConv) or not state.is_fresh:
            kept = state.pasts[self.conv].steps.transpose(1, 2)  # (B, P, C)
        num_kept = 0 if kept is None else kept.shape[1]
        whole = like.new_empty(len(like), num_kept + num_steps, self.steps.num_in)
        if kept is not None:
            whole[:, :num_kept] = kept
        return whole, whole[:, num_kept:]


class Waves:
    """Make waves of features as `Code2Wav.forward` does, by weights laid out anew."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages

    def run(self, features: Tensor, state: State) -> Tensor:
        """Make the next piece of each stream: (B, D, U) bfloat16 -> (B, W), not yet clamped."""
        x, place = self._stages[0].room(state, features, features.shape[-1])
        place.copy_(features.transpose(1, 2))
        stream = x
        for stage, following in pairwise([*self._stages, None]):
            assert stage is not None
            num_made = x.shape[1] - stage.steps.num_past  # rows of `stride` steps
            added = stream if stage.is_added else None
            if stage.is_kept and not stage.is_added:
                stream = x.new_empty(len(x), num_made, stage.steps.num_out)
            room = following and following.room(state, x, num_made * stage.stride)
            convolve.convolve(
                x,
                stage.steps,
                added=added,
                out=stream if stage.is_kept else None,
                snake=stage.snake,
                waved=room and room[1],
            )
            past = state.pasts[stage.conv]
            past.steps = x[:, x.shape[1] - stage.conv.num_past :].transpose(1, 2).clone()
            x = room[0] if room else x
        return stream.flatten(1)


def fuse(network: Code2Wav) -> None:
    """Make waves in a few calls from now on, where the compiled kernels do so faster than torch.

    The decoder's convolutions then have no weights of their own any more.
    """
    if not convolve.serves():
        return
    planned = list(_plan(network.decoder))
    stages: list[Stage] = []
    for conv, snake, is_added, is_kept in planned:
        stride = conv.stride if isinstance(conv, TransposedConv) else 1
        steps = _pack(conv)
        if steps is None:
            return
        numbers = snake and convolve.snake(
            snake.alpha, snake.beta, eps=code2wav.SNAKE_EPS, repeats=stride
        )
        stages.append(Stage(conv, steps, numbers, stride, is_added, is_kept))
    for conv, *_ in planned:
        conv.weight = None
    network.waves = Waves(stages).run


def _plan(
    decoder: nn.ModuleList,
) -> Iterator[tuple[Conv, code2wav.Snake | None, bool, bool]]:
    """Give each convolution, the snake after it, whether it adds to the residual stream, and
    whether what it makes is that stream from then on.
    """
    first, *blocks, last_snake, last = decoder
    heads = [*(block.block[0] for block in blocks), last_snake]
    yield first, heads[0], False, False
    for block, head in zip(blocks, heads[1:], strict=True):
        _, widen, *units = block.block
        yield widen, units[0].act1, False, True
        after = [*(unit.act1 for unit in units[1:]), head]
        for unit, snake in zip(units, after, strict=True):
            yield unit.conv1, unit.act2, False, False
            yield unit.conv2, snake, True, unit is not units[-1]
    yield last, None, False, True


def _pack(conv: Conv) -> Steps | None:
    """Lay out one convolution; a transposed one makes all steps of a stride as outputs."""
    if isinstance(conv, CausalConv):
        return convolve.pack(conv.weight, conv.bias, dilation=conv.dilation)
    taps = conv.weight.unflatten(-1, (-1, conv.stride))  # (C, C', later, stride)
    weight = taps.flip(2).permute(3, 1, 0, 2).flatten(0, 1)  # (stride*C', C, taps)
    return convolve.pack(weight, conv.bias.repeat(conv.stride))
