"""Plan: which tensor fills which parameter, checked from both sides before anything is read.

Not here: reading (load). A plan needs names and shapes only, so that a released layout of any size
can be checked on a machine of any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

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
    places: dict[str, Place] = {}
    assemblies: dict[str, Assembly] = {}
    ignored: dict[str, str] = {}
    homeless: list[str] = []
    doubled: list[str] = []
    for name in checkpoint.tensors:
        found = place(name, rules)
        if isinstance(found, Ignore):
            ignored[name] = found.reason
        elif found.name not in targets:
            homeless.append(name)
        else:
            is_stack = found.expert is not None
            assembly = assemblies.setdefault(found.name, Assembly(found.parts, is_stack))
            slot = (found.expert or 0, found.part)
            is_same_form = (assembly.parts, assembly.is_stack) == (found.parts, is_stack)
            if slot in assembly.sources or not is_same_form:
                doubled.append(name)
            else:
                assembly.sources[slot] = name
                places[name] = found
    tied = _tied(targets, assemblies)
    empty = [name for name in targets if name not in assemblies and name not in tied]
    incomplete = {
        name: assembly
        for name, assembly in assemblies.items()
        if len(assembly.sources) < assembly.num_experts * assembly.num_parts
    }
    infos = checkpoint.tensors
    shapes = {name: _shape_after(infos[name], found) for name, found in places.items()}
    misshapen = [
        f"{name!r} is {tuple(targets[name].shape)} in the model, {shape} in the file"
        for name, assembly in assemblies.items()
        if name not in incomplete
        and (shape := _assembled(assembly, shapes)) != tuple(targets[name].shape)
    ]
    _complain(checkpoint.name, empty, homeless, doubled, incomplete, misshapen)
    return Plan(
        places,
        assemblies,
        {name: shape for name, shape in shapes.items() if shape is not None},
        targets,
        tied,
        ignored,
    )


def _tied(targets: dict[str, Tensor], assemblies: dict[str, Assembly]) -> dict[str, str]:
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


def _assembled(
    assembly: Assembly, shapes: dict[str, tuple[int, ...] | None]
) -> tuple[int, ...] | str:
    """Give the shape of what the pieces make, or say why they make nothing."""
    pieces = {slot: shapes[name] for slot, name in assembly.sources.items()}
    first = [pieces[0, part] for part in range(assembly.num_parts)]
    for (_, part), shape in pieces.items():
        if shape is None or shape != first[part]:
            return f"of pieces {shape} and {first[part]}"
    known = [shape for shape in first if shape is not None]
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


def _complain(
    checkpoint: str,
    empty: list[str],
    homeless: list[str],
    doubled: list[str],
    incomplete: dict[str, Assembly],
    misshapen: list[str],
) -> None:
    """Raise one error that tells all that is wrong, if anything is."""
    faults = []
    if empty:
        faults.append(f"{len(empty)} parameters of the model have no tensor: {some_names(empty)}")
    if homeless:
        faults.append(f"{len(homeless)} tensors have no place in the model: {some_names(homeless)}")
    if doubled:
        faults.append(f"{len(doubled)} tensors want a place that is taken: {some_names(doubled)}")
    if incomplete:
        name, assembly = next(iter(incomplete.items()))
        faults.append(
            f"{len(incomplete)} parameters lack pieces: {name!r} lacks "
            f"{some_names(assembly.holes())}"
        )
    if misshapen:
        faults.append(f"{len(misshapen)} parameters have another shape: {'; '.join(misshapen[:2])}")
    if faults:
        raise BadCheckpoint(
            f"{checkpoint} does not fit the model: {'. '.join(faults)}. hint: a file is damaged or "
            f"missing, or config.json belongs to another model"
        )
