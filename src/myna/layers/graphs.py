"""Record what a GPU does in a step once, and play it again: launching a step's many small kernels
one by one takes longer than they run.

Not here: which steps have the same shapes (whoever makes them so).
Source: PyTorch's notes on CUDA graphs, `torch.cuda.graph`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Function = Callable[..., tuple[Tensor, ...]]
# Runs a function of tensors once; gives its outputs, and what computes them again in place.
Record = Callable[[Function, Sequence[Tensor]], tuple[tuple[Tensor, ...], Callable[[], None]]]
NUM_WARM_UPS = 2  # libraries choose kernels and take workspaces in the first runs


def record_on_gpu(
    function: Function, inputs: Sequence[Tensor]
) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
    """Capture a CUDA graph of a function; satisfies `Record`.

    The function must look at no value, and take all that it reads from its inputs or from tensors
    that stay where they are.
    """
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's, without types
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(NUM_WARM_UPS):
            function(*inputs)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = function(*inputs)
    return outputs, graph.replay


class _Recording:
    """Hold one recording: where its inputs are read and its outputs written."""

    def __init__(self, function: Function, inputs: Sequence[Tensor], record: Record) -> None:
        self._inputs = [tensor.clone() for tensor in inputs]
        self._outputs, self._replay = record(function, self._inputs)

    def play(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._replay()
        return tuple(tensor.clone() for tensor in self._outputs)


class Graphed:
    """Call a function of tensors by playing a recording of it, one for each set of shapes.

    Args:
        function: see `record_on_gpu`; what it writes elsewhere is written while it is recorded too.
        record: makes recordings.
    """

    def __init__(self, function: Function, record: Record = record_on_gpu) -> None:
        self._function = function
        self._record = record
        self._recordings: dict[tuple[tuple[torch.Size, torch.dtype], ...], _Recording] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute the function's outputs, which are the caller's own."""
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
        if shapes not in self._recordings:
            self._recordings[shapes] = _Recording(self._function, inputs, self._record)
        return self._recordings[shapes].play(inputs)
