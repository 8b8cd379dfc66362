"""Load a checkpoint into a module: fill every parameter, use every tensor.

Memory peaks at the model and one tensor more.

Not here: files (open), names (rules), and the check of both sides (plan).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from myna.core.memory import available_memory_bytes, machine_memory_bytes
from myna.kernels.blocks import FORMATS
from myna.kernels.packed import (
    Packed,
    PackedWeight,
    Weight,
    concat_rows,
    dequantize_into,
    stack_experts,
)
from myna.weights.checkpoint import Checkpoint
from myna.weights.plan import Plan, Slot, make_plan
from myna.weights.report import LoadReport
from myna.weights.rules import Place, Rule
from myna.weights.tiling import HugePages, tiled

Progress = Callable[[int, int], None]


@runtime_checkable
class TakesPacked(Protocol):
    """A module that can compute with packed weights in place of parameters."""

    def set_packed(self, name: str, packed: Packed, /) -> None:
        """Delete the parameter `name`, and keep `packed` as the attribute of that name."""
        ...


@runtime_checkable
class Mapped(Protocol):
    """A checkpoint whose packed tensors are views of its files."""

    def forget(self, name: str, /, *, for_good: bool = False) -> None:
        """Give back the memory of a tensor that was read, and was copied since.

        Args:
            name: of the tensor.
            for_good: have the system forget what it remembers of it as well.
        """
        ...

    def populate(self, name: str, /) -> None:
        """Have a tensor in memory before it is used."""
        ...


def load_weights(
    module: nn.Module,
    checkpoint: Checkpoint,
    rules: Sequence[Rule],
    *,
    dtype: torch.dtype,
    keep_packed: bool = False,
    tiles: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> LoadReport:
    """Fill a module that was built on the meta device.

    A module that can compute with a packed weight says so by a method `set_packed(name, packed)`,
    which deletes the parameter `name` and keeps `packed` as the attribute of that name.

    Args:
        module: its parameters and persistent buffers are replaced; none of them will ask for a
            gradient.
        checkpoint: where the tensors are; it stays open.
        rules: what becomes of its names.
        dtype: what floating-point parameters are stored as.
        keep_packed: leave quantized weights packed where the module can take them, rather than
            write them out.
        tiles: copy such weights into tiled formats, and what is in those already, into memory of
            their own in huge pages, where they are multiplied faster; else they stay in the mapped
            file as they are.
        device: where the parameters are to live.
        progress: called with the bytes read so far and the bytes to read.

    Raises:
        BadCheckpoint: the checkpoint is damaged or does not fit the module, which is then not to be
            used.
    """
    plan = make_plan(module, checkpoint, rules)
    report = plan.report(checkpoint)
    # Where copies leave the system no room for the files, it would forget what is still needed,
    # and have no huge pages to give.
    file_bytes = sum(info.num_bytes for info in checkpoint.tensors.values())
    for_good = 2 * file_bytes > machine_memory_bytes()
    fits = torch.device(device).type == "cpu" and file_bytes < available_memory_bytes()
    builders: dict[str, _DenseBuilder | _PackedBuilder] = {}
    pages = HugePages()
    done_bytes = 0
    for source, place in plan.places.items():
        name = place.name
        if name not in builders:
            is_kept = keep_packed and _can_keep_packed(module, name, plan, checkpoint)
            builders[name] = (
                _PackedBuilder(plan, name, device)
                if is_kept
                else _DenseBuilder(plan, name, dtype, device)
            )
        weight = _apply(place, checkpoint.read(source))
        is_copied = tiles or isinstance(builders[name], _DenseBuilder)
        if tiles and isinstance(builders[name], _PackedBuilder):
            weight = tiled(weight, pages)
        builders[name].put(place, weight)
        if isinstance(checkpoint, Mapped):
            if is_copied:
                checkpoint.forget(source, for_good=for_good)
            elif fits:
                checkpoint.populate(source)
        if builders[name].num_missing == 0:
            _install(module, name, builders.pop(name).result())
        done_bytes += checkpoint.tensors[source].num_bytes
        if progress is not None:
            progress(done_bytes, report.num_bytes)
    pages.settle()
    for name, twin in plan.tied.items():
        holder, leaf = _locate(module, twin)
        _install(module, name, getattr(holder, leaf))
    hollow = [name for name, buffer in module.named_buffers() if buffer.is_meta]
    assert not hollow, f"buffers that no file holds were left on the meta device: {hollow}"
    return report


def check_layout(module: nn.Module, checkpoint: Checkpoint, rules: Sequence[Rule]) -> LoadReport:
    """Prove that a checkpoint would fill a module, without reading a value.

    Raises:
        BadCheckpoint: it would not.
    """
    return make_plan(module, checkpoint, rules).report(checkpoint)


class _DenseBuilder:
    """Write the pieces of a plain parameter into their places."""

    def __init__(
        self, plan: Plan, name: str, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        target = plan.targets[name]
        self._assembly = plan.assemblies[name]
        self._shapes = plan.shapes
        self._shape = target.shape
        self._dtype = dtype if target.is_floating_point() else target.dtype
        self._device = device
        self._out: Tensor | None = None
        self.num_missing = len(self._assembly.sources)

    def put(self, place: Place, weight: Weight) -> None:
        """Take one piece."""
        self.num_missing -= 1
        if isinstance(weight, Tensor) and len(self._assembly.sources) == 1:
            whole = weight.reshape(self._shape)  # a stack of one expert gains its axis
            self._out = whole.to(self._device, self._dtype).contiguous()
            return
        if self._out is None:
            self._out = torch.empty(self._shape, dtype=self._dtype, device=self._device)
        slot = self._slot(place, self._out)
        if isinstance(weight, Tensor):
            slot.copy_(weight)
        else:
            # The blocks of a convolution stand for flat rows.
            dequantize_into(weight.to(self._device), slot.view(weight.shape))

    def result(self) -> Tensor:
        """Give the whole."""
        assert self._out is not None
        return self._out

    def _slot(self, place: Place, out: Tensor) -> Tensor:
        """Cut out the rows that a piece fills."""
        if place.expert is not None:
            out = out[place.expert]
        axis = max(0, out.dim() - 2)
        rows = [
            self._shapes[self._assembly.sources[0, part]][axis]
            for part in range(self._assembly.num_parts)
        ]
        return out.narrow(axis, sum(rows[: place.part]), rows[place.part])


class _PackedBuilder:
    """Gather the pieces of a weight that stays packed."""

    def __init__(self, plan: Plan, name: str, device: torch.device | str) -> None:
        self._assembly = plan.assemblies[name]
        self._device = device
        self._pieces: dict[Slot, PackedWeight | Tensor] = {}
        self.num_missing = len(self._assembly.sources)

    def put(self, place: Place, weight: Weight) -> None:
        """Take one piece."""
        assert isinstance(weight, Tensor | PackedWeight), "a rule's function mixed formats"
        self._pieces[place.expert or 0, place.part] = weight.to(self._device)
        self.num_missing -= 1

    def result(self) -> Packed:
        """Give the whole."""
        if not self._assembly.is_stack:
            return concat_rows([self._pieces[slot] for slot in sorted(self._pieces)])
        num_experts = self._assembly.num_experts
        return concat_rows(
            [
                stack_experts([self._pieces[expert, part] for expert in range(num_experts)])
                for part in range(self._assembly.num_parts)
            ]
        )


def _can_keep_packed(module: nn.Module, name: str, plan: Plan, checkpoint: Checkpoint) -> bool:
    """Tell whether a parameter comes in blocks, and its module can compute with them."""
    holder, _ = _locate(module, name)
    sources = plan.assemblies[name].sources
    kinds: dict[int, set[str]] = {}
    for (_, part), source in sources.items():
        kinds.setdefault(part, set()).add(checkpoint.tensors[source].dtype)
    return (
        isinstance(holder, TakesPacked)
        and any(checkpoint.tensors[source].is_packed for source in sources.values())
        and all(len(found) == 1 and found <= FORMATS.keys() for found in kinds.values())
    )


def _apply(place: Place, weight: Weight) -> Weight:
    for function in place.functions:
        weight = function(weight)
    return weight


def _locate(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Find the module that holds a parameter, and the parameter's name there."""
    path, _, leaf = name.rpartition(".")
    return module.get_submodule(path), leaf


def _install(module: nn.Module, name: str, weight: Weight | nn.Parameter) -> None:
    """Put a weight in a parameter's or buffer's place."""
    holder, leaf = _locate(module, name)
    if not isinstance(weight, Tensor):
        assert isinstance(holder, TakesPacked)
        holder.set_packed(leaf, weight)
    elif isinstance(getattr(holder, leaf), nn.Parameter) and not isinstance(weight, nn.Parameter):
        setattr(holder, leaf, nn.Parameter(weight, requires_grad=False))
    else:
        setattr(holder, leaf, weight)
