"""Causal convolutions whose rows are time steps, for the last and larger part of a vocoder.

Each may end in a snake, and add what stands beside it: x + sin²(x e^alpha) / (e^beta + eps), with
a sine that is off by 1.5e-6 at most (arXiv:2006.08195). So what one convolution makes is what the
next one reads, and no pass over memory lies between them.

Not here: the modules that spell the same with torch's operations, the twin (a family's vocoder),
and what a stream carries from piece to piece.
Differs from the twin: sums and snakes are float32 until they are written.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from myna.kernels import structs
from myna.kernels.native import Native, native

LANES = 16
TILE_VECTORS = 3  # of outputs, side by side in memory
# Where the machine multiplies bfloat16 itself; elsewhere torch's own convolutions are faster.
SERVED = frozenset({"avx512_bf16"})


@dataclass(frozen=True)
class Snake:
    """Hold the numbers of a snake, (N,) float32 each: x + sin²(alpha x) * height."""

    alpha: Tensor
    height: Tensor


@dataclass(frozen=True)
class Steps:
    """Hold a convolution's weights as the kernel reads them.

    Attributes:
        weight: tiles of outputs, see native/kernels.h.
        bias: (N or a few more,) float32.
        num_in: C.
        num_out: N.
        num_taps: steps that each output sees.
        dilation: from one of them to the next.
    """

    weight: Tensor
    bias: Tensor
    num_in: int
    num_out: int
    num_taps: int
    dilation: int

    @property
    def num_past(self) -> int:
        """Count the steps that are read before the first that is made."""
        return (self.num_taps - 1) * self.dilation


def serves() -> bool:
    """Tell whether this machine runs the kernel faster than torch's own."""
    kernels = native()
    return kernels is not None and kernels.name in SERVED


def pack(weight: Tensor, bias: Tensor, *, dilation: int = 1) -> Steps | None:
    """Lay out the weights of a convolution; `None` where the kernel cannot serve.

    Args:
        weight: (N, C, taps), the tap of the latest step last.
        bias: (N,).
        dilation: from tap to tap.
    """
    num_out, num_in, num_taps = weight.shape
    if weight.dtype is not torch.bfloat16 or not weight.is_cpu or num_in % 2:
        return None
    whole = functional.pad(weight.detach(), (0, 0, 0, 0, 0, -num_out % LANES))
    pairs = whole.reshape(-1, LANES, num_in // 2, 2, num_taps)  # by vectors of outputs
    tiles = [
        pairs[first : first + TILE_VECTORS].permute(4, 2, 0, 1, 3).flatten()
        for first in range(0, len(pairs), TILE_VECTORS)
    ]
    return Steps(torch.cat(tiles), _padded(bias), num_in, num_out, num_taps, dilation)


def snake(alpha: Tensor, beta: Tensor, *, eps: float, repeats: int = 1) -> Snake:
    """Prepare a snake.

    Args:
        alpha: (N,), the logarithm of what the sine's argument is multiplied by.
        beta: (N,), the logarithm of what the square is divided by.
        eps: is added to the divisor.
        repeats: how many times the channels lie side by side.
    """
    height = (beta.detach().float().exp() + eps).reciprocal()
    return Snake(_padded(alpha.detach().float().exp(), repeats), _padded(height, repeats))


def convolve(
    x: Tensor,
    steps: Steps,
    *,
    added: Tensor | None = None,
    out: Tensor | None = None,
    snake: Snake | None = None,
    waved: Tensor | None = None,
) -> None:
    """Make all steps of B streams, and write them as they are, through a snake, or both.

    Args:
        x: (B, P+U, C) bfloat16, each stream's rows side by side; P is `steps.num_past`.
        steps: the weights.
        added: (B, U, N), contiguous, is added to what is made.
        out: (B, U, N), contiguous, is written; may be `added`.
        snake: what `waved` goes through.
        waved: of (B, U, N) values, each stream's side by side, is written.

    Raises:
        RuntimeError: the kernels are not compiled.
    """
    kernels = native()
    if kernels is None:
        raise RuntimeError("a convolution was asked of kernels that are not compiled; see `serves`")
    convolve_native(kernels, x, steps, added=added, out=out, snake=snake, waved=waved)


def convolve_native(
    kernels: Native,
    x: Tensor,
    steps: Steps,
    *,
    added: Tensor | None = None,
    out: Tensor | None = None,
    snake: Snake | None = None,
    waved: Tensor | None = None,
) -> None:
    """Run the kernel itself; see `convolve`."""
    num_streams, num_rows, num_in = x.shape
    num_steps = num_rows - steps.num_past
    assert num_in == steps.num_in, (x.shape, steps.num_in)
    assert num_steps >= 0, (x.shape, steps.num_past)
    assert (snake is None) == (waved is None), "a snake writes to a place of its own"
    for tensor in (added, out, waved):
        if tensor is not None:
            assert tensor.numel() == num_streams * num_steps * steps.num_out, tensor.shape
            assert tensor.is_contiguous() or tensor is waved
            assert tensor[0].is_contiguous()
    if snake is not None:
        assert snake.alpha.shape == snake.height.shape == steps.bias.shape, snake.alpha.shape
    for tensor in (x, added, out, waved):
        assert tensor is None or tensor.dtype is torch.bfloat16, "bfloat16 alone is served"
    assert x[0].is_contiguous(), x.stride()
    call = structs.Convolve(
        x=x.data_ptr(),
        w=steps.weight.data_ptr(),
        bias=steps.bias.data_ptr(),
        alpha=None if snake is None else snake.alpha.data_ptr(),
        height=None if snake is None else snake.height.data_ptr(),
        added=None if added is None else added.data_ptr(),
        out=None if out is None else out.data_ptr(),
        waved=None if waved is None else waved.data_ptr(),
        x_stride=x.stride(0),
        waved_stride=0 if waved is None else waved.stride(0),
        b=num_streams,
        u=num_steps,
        c=num_in,
        n=steps.num_out,
        taps=steps.num_taps,
        dilation=steps.dilation,
    )
    kernels.convolve(kernels.level, torch.get_num_threads(), ctypes.addressof(call))


def _padded(values: Tensor, repeats: int = 1) -> Tensor:
    """Bring a number for each output to float32, with zeros up to a whole vector."""
    whole = values.detach().float().repeat(repeats)
    return functional.pad(whole, (0, -len(whole) % LANES))
