"""A recording is played with the inputs of each call, one recording for each set of shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from myna.layers.graphs import Function, Graphed


class Recorder:
    """Record as a GPU does: what is played reads and writes the same memory each time."""

    def __init__(self) -> None:
        self.num_recordings = 0

    def __call__(
        self, function: Function, inputs: Sequence[Tensor]
    ) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
        self.num_recordings += 1
        outputs = function(*inputs)

        def replay() -> None:
            for own, new in zip(outputs, function(*inputs), strict=True):
                own.copy_(new)

        return outputs, replay


def test_each_call_has_its_own_result() -> None:
    recorder = Recorder()
    graphed = Graphed(lambda x, y: (x + y, x * y), recorder)
    calls = [(torch.tensor([1.0, 2.0]), torch.tensor([3.0])), (torch.ones(2), torch.zeros(1))]
    results = [graphed(*call) for call in calls]
    assert [[part.tolist() for part in result] for result in results] == [
        [[4.0, 5.0], [3.0, 6.0]],
        [[1.0, 1.0], [0.0, 0.0]],
    ]
    assert recorder.num_recordings == 1


def test_inputs_are_left_as_they_are() -> None:
    graphed = Graphed(lambda x: (x.add_(1),), Recorder())
    given = torch.zeros(2)
    graphed(given)
    assert given.tolist() == [0.0, 0.0]


def test_other_shapes_and_types_are_recorded_anew() -> None:
    recorder = Recorder()
    graphed = Graphed(lambda x: (x * 2,), recorder)
    for given in (torch.ones(1), torch.ones(2), torch.ones(2).double(), torch.zeros(2)):
        (found,) = graphed(given)
        assert torch.equal(found, given * 2)
        assert found.dtype is given.dtype
    assert recorder.num_recordings == 3
