"""Plan: which tensor fills which parameter, checked from both sides before anything is read.

Not here: reading (load). A plan needs names and shapes only, so that a released layout of any size
can be checked on a machine of any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor, nn

from myna.core.errors import BadCheckpoint
from myna.kernels.packed import Weight
from myna.weights.checkpoint import Checkpoint, TensorInfo
from myna.weights.report import LoadReport, some_names
from myna.weights.rules import Ignore, Place, Rule, place

Slot = tuple[int, int]  # (expert, part)


@dataclass
class Assembly:
    """Say what one parameter is put together from.

    Attributes:
        parts: names of what is fused, or empty.
        is_stack: whether it has an axis of experts.
        sources: the tensor of each expert (0 where there are none) and part.
    """

    parts: tuple[str, ...]
    is_stack: bool
    sources: dict[Slot, str] = field(default_factory=dict)

    @property
    def num_parts(self) -> int:
        """Count what is fused; at least one."""
        return max(1, len(self.parts))

    @property
    def num_experts(self) -> int:
        """Count the experts up to the last one found; at least one."""
        return 1 + max(expert for expert, _ in self.sources)

    @property
    def is_complete(self) -> bool:
        """Tell whether every piece is there."""
        return len(self.sources) == self.num_experts * self.num_parts

    def holes(self) -> Iterator[str]:
        """Name what is missing."""
        for expert in range(self.num_experts):
            for part, name in enumerate(self.parts):
                if (expert, part) not in self.sources:
                    yield f"expert {expert}: {name}" if self.is_stack else name


@dataclass(frozen=True)
class Plan:
    """Hold the answer to both questions: where does each tensor go, and what fills each parameter.

    Attributes:
        places: of every tensor that is used, in the checkpoint's order.
        assemblies: of every parameter that is filled from tensors.
        shapes: of every tensor that is used, after its functions.
        targets: the module's own (still empty) parameters.
        tied: parameters that are another one under a second name, and that one's name.
        ignored: tensors left out, and why.
    """

    places: dict[str, Place]
    assemblies: dict[str, Assembly]
    shapes: dict[str, tuple[int, ...]]
    targets: dict[str, Tensor]
    tied: dict[str, str]
    ignored: dict[str, str]

    def report(self, checkpoint: Checkpoint) -> LoadReport:
        """Sum it up."""
        used = [checkpoint.tensors[name] for name in self.places]
        return LoadReport(
            checkpoint=checkpoint.name,
            num_tensors=len(used),
            num_parameters=sum(self.targets[name].numel() for name in self.assemblies),
            num_bytes=sum(info.num_bytes for info in used),
            dtypes=Counter(info.dtype for info in used),
            ignored=self.ignored,
            tied=self.tied,
        )


def make_plan(module: nn.Module, checkpoint: Checkpoint, rules: Sequence[Rule]) -> Plan:
    """Match a module's parameters and persistent buffers with a checkpoint's tensors.

    Raises:
        BadCheckpoint: a parameter is not filled, a tensor has no place, or shapes differ; all are
            told at once.
    """
    targets: dict[str, Tensor] = dict(module.state_dict(keep_vars=True))
    matching = _Matching(targets)
    for name in checkpoint.tensors:
        matching.add(name, place(name, rules))
    tied = _tied(targets, matching.assemblies)
    shapes = {
        name: _unfolded(_shape_after(checkpoint.tensors[name], found), found, targets[found.name])
        if checkpoint.tensors[name].is_packed
        else _shape_after(checkpoint.tensors[name], found)
        for name, found in matching.places.items()
    }
    faults = [
        *_empty(targets, matching, tied),
        *matching.faults(),
        *_incomplete(matching.assemblies),
        *_misshapen(targets, matching.assemblies, shapes),
    ]
    if faults:
        raise BadCheckpoint(
            f"{checkpoint.name} does not fit the model: {'. '.join(faults)}. hint: a file is "
            f"damaged or missing, or config.json belongs to another model"
        )
    known = {name: shape for name, shape in shapes.items() if shape is not None}
    return Plan(matching.places, matching.assemblies, known, targets, tied, matching.ignored)


class _Matching:
    """Sort tensors by what becomes of them."""

    def __init__(self, targets: Mapping[str, Tensor]) -> None:
        self._targets = targets
        self.places: dict[str, Place] = {}
        self.assemblies: dict[str, Assembly] = {}
        self.ignored: dict[str, str] = {}
        self._homeless: list[str] = []
        self._doubled: list[str] = []

    def add(self, name: str, found: Place | Ignore) -> None:
        """Take one tensor."""
        if isinstance(found, Ignore):
            self.ignored[name] = found.reason
        elif found.name not in self._targets:
            self._homeless.append(name)
        else:
            is_stack = found.expert is not None
            slot = (found.expert or 0, found.part)
            assembly = self.assemblies.setdefault(found.name, Assembly(found.parts, is_stack))
            is_alike = (assembly.parts, assembly.is_stack) == (found.parts, is_stack)
            if slot in assembly.sources or not is_alike:
                self._doubled.append(name)
            else:
                assembly.sources[slot] = name
                self.places[name] = found

    def faults(self) -> Iterator[str]:
        """Tell of tensors that could not be placed."""
        if self._homeless:
            names = some_names(self._homeless)
            yield f"{len(self._homeless)} tensors have no place in the model: {names}"
        if self._doubled:
            names = some_names(self._doubled)
            yield f"{len(self._doubled)} tensors want a place that is taken: {names}"


def _empty(
    targets: Mapping[str, Tensor], matching: _Matching, tied: Mapping[str, str]
) -> Iterator[str]:
    """Tell of parameters that nothing fills."""
    empty = targets.keys() - matching.assemblies.keys() - tied.keys()
    if empty:
        names = some_names(name for name in targets if name in empty)
        yield f"{len(empty)} parameters of the model have no tensor: {names}"


def _incomplete(assemblies: Mapping[str, Assembly]) -> Iterator[str]:
    """Tell of parameters that lack a piece."""
    incomplete = {name: item for name, item in assemblies.items() if not item.is_complete}
    if incomplete:
        name, assembly = next(iter(incomplete.items()))
        missing = some_names(assembly.holes())
        yield f"{len(incomplete)} parameters lack pieces: {name!r} lacks {missing}"


def _misshapen(
    targets: Mapping[str, Tensor],
    assemblies: Mapping[str, Assembly],
    shapes: Mapping[str, tuple[int, ...] | None],
) -> Iterator[str]:
    """Tell of parameters whose pieces make another shape, or none."""
    misshapen = []
    for name, assembly in assemblies.items():
        expected = tuple(targets[name].shape)
        if assembly.is_complete and (shape := _assembled(assembly, shapes)) != expected:
            misshapen.append(f"{name!r} is {expected} in the model, {shape} in the file")
    if misshapen:
        yield f"{len(misshapen)} parameters have another shape: {'; '.join(misshapen[:2])}"


def _tied(targets: Mapping[str, Tensor], assemblies: Mapping[str, Assembly]) -> dict[str, str]:
    """Find the unfilled names of parameters that are filled under another name."""
    filled = {id(targets[name]): name for name in assemblies}
    return {
        name: filled[id(target)]
        for name, target in targets.items()
        if name not in assemblies and id(target) in filled
    }


def _shape_after(info: TensorInfo, found: Place) -> tuple[int, ...] | None:
    """Give the shape that a tensor has when its functions are done; None if they cannot take it."""
    if not found.functions:
        return info.shape
    try:
        weight: Weight = torch.empty(info.shape, device="meta")
        for function in found.functions:
            weight = function(weight)
    except (RuntimeError, ValueError, IndexError):
        return None
    return tuple(weight.shape)


def _unfolded(
    shape: tuple[int, ...] | None, found: Place, target: Tensor
) -> tuple[int, ...] | None:
    """Give a convolution its axes back: of blocks, a file knows rows and columns only."""
    if found.parts or found.expert is not None or target.dim() < 3:
        return shape
    is_flat = shape == (target.shape[0], prod(target.shape[1:]))
    return tuple(target.shape) if is_flat else shape


def _assembled(
    assembly: Assembly, shapes: Mapping[str, tuple[int, ...] | None]
) -> tuple[int, ...] | str:
    """Give the shape of what the pieces make, or say why they make nothing."""
    pieces: dict[Slot, tuple[int, ...]] = {}
    for slot, source in assembly.sources.items():
        shape = shapes[source]
        if shape is None:
            return f"made of {source!r}, whose shape its rule cannot take,"
        pieces[slot] = shape
    known = [pieces[0, part] for part in range(assembly.num_parts)]
    for (_, part), shape in pieces.items():
        if shape != known[part]:
            return f"of pieces {shape} and {known[part]}"
    if len(known) == 1 and not assembly.is_stack:
        return known[0]
    if any(not shape for shape in known):
        return "of pieces without rows"
    axis = max(0, len(known[0]) - 2)
    around = {(*shape[:axis], *shape[axis + 1 :]) for shape in known}
    if len(around) > 1 or len({len(shape) for shape in known}) > 1:
        return "of pieces " + " and ".join(map(str, known))
    rows = sum(shape[axis] for shape in known)
    fused = (*known[0][:axis], rows, *known[0][axis + 1 :])
    return (assembly.num_experts, *fused) if assembly.is_stack else fused
