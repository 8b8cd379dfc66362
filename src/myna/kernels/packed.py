"""PackedWeight: a matrix kept in its quantized blocks, and the product with it.

Not here: how blocks are read from files (weights) or made (weights.quantize).

A packed matrix is dequantised by slabs of rows, each used and dropped, so that the whole never
stands in memory as floats. `dequantize` is the float twin: `linear(x, packed)` equals `F.linear(x,
dequantize(packed, x.dtype))`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from myna.kernels import fused
from myna.kernels.blocks import FORMATS
from myna.kernels.blocks import decode_rows as decode_rows_twin
from myna.kernels.linear import linear_bf16
from myna.kernels.tiles import ROW_KINDS, TILE_ROWS, tile, tiled_rows

SLAB_BYTES = 4 << 20
FLOAT_KINDS = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


@dataclass(frozen=True, eq=False)
class PackedWeight:
    """Hold a matrix, or a stack of them (one for each expert), in the blocks of its file.

    Attributes:
        kind: the block format, a key of `blocks.FORMATS`.
        data: (..., rows, row_bytes) uint8; may be a memory map, never to be written to.
        scales: None where the scales live in the blocks.
        shape: (..., rows, columns) of the matrix it stands for.
    """

    kind: str
    data: Tensor
    scales: Tensor | None
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        row_bytes = FORMATS[self.kind].row_bytes(self.shape[-1])
        assert self.kind not in ROW_KINDS or self.shape[-2] % TILE_ROWS == 0, self.shape
        assert tuple(self.data.shape) == (*self.shape[:-1], row_bytes), (
            self.data.shape,
            self.shape,
        )

    def __getitem__(self, expert: int) -> PackedWeight:
        """Give one matrix of a stack, without a copy."""
        assert len(self.shape) > 2, self.shape
        return replace(self, data=self.data[expert], shape=self.shape[1:])

    @property
    def num_bytes(self) -> int:
        """Count the bytes it keeps."""
        return self.data.numel()

    def rows(self, start: int, stop: int) -> PackedWeight:
        """Give a range of rows, without a copy; in tiled formats, of whole tiles."""
        assert self.kind not in ROW_KINDS or start % TILE_ROWS == 0, (self.kind, start)
        data = self.data[..., start:stop, :]
        return replace(
            self, data=data, shape=(*self.shape[:-2], *data.shape[-2:-1], self.shape[-1])
        )

    def to(self, device: torch.device | str) -> PackedWeight:
        """Move it to a device."""
        return replace(self, data=self.data.to(device))


@dataclass(frozen=True, eq=False)
class PackedStack:
    """Hold packed matrices that lie apart, such as the experts' of a file, as a stack."""

    matrices: tuple[PackedWeight, ...]

    def __post_init__(self) -> None:
        assert len({(matrix.kind, matrix.shape) for matrix in self.matrices}) == 1

    def __getitem__(self, expert: int) -> PackedWeight:
        """Give one matrix."""
        return self.matrices[expert]

    @property
    def shape(self) -> tuple[int, ...]:
        """Give the (experts, rows, columns)."""
        return (len(self.matrices), *self.matrices[0].shape)

    @property
    def num_bytes(self) -> int:
        """Count the bytes it keeps."""
        return sum(matrix.num_bytes for matrix in self.matrices)

    def to(self, device: torch.device | str) -> PackedStack:
        """Move it to a device."""
        return PackedStack(tuple(matrix.to(device) for matrix in self.matrices))


@dataclass(frozen=True, eq=False)
class PackedRows:
    """Hold packed matrices, or stacks, one above the other, as if they were one."""

    parts: tuple[PackedWeight | PackedStack, ...]

    def __post_init__(self) -> None:
        outer = {(*part.shape[:-2], part.shape[-1]) for part in self.parts}
        assert len(outer) == 1, [part.shape for part in self.parts]

    def __getitem__(self, expert: int) -> PackedRows:
        """Give one matrix of a stack, without a copy."""
        return PackedRows(tuple(part[expert] for part in self.parts))

    def split(self, row: int) -> tuple[Packed, Packed]:
        """Cut before a row at which a part begins, without a copy."""
        for count in range(1, len(self.parts)):
            upper, lower = PackedRows(self.parts[:count]), PackedRows(self.parts[count:])
            if upper.shape[-2] == row:
                return upper.whole(), lower.whole()
        raise AssertionError(f"no part begins at row {row} of {self.shape}")

    def whole(self) -> Packed:
        """Give the only part if there is but one."""
        return self.parts[0] if len(self.parts) == 1 else self

    @property
    def shape(self) -> tuple[int, ...]:
        """Give the (..., rows, columns) of the matrix it stands for."""
        first = self.parts[0].shape
        return (*first[:-2], sum(part.shape[-2] for part in self.parts), first[-1])

    @property
    def num_bytes(self) -> int:
        """Count the bytes it keeps."""
        return sum(part.num_bytes for part in self.parts)

    def to(self, device: torch.device | str) -> PackedRows:
        """Move it to a device."""
        return PackedRows(tuple(part.to(device) for part in self.parts))


Packed = PackedWeight | PackedRows | PackedStack
Weight = Tensor | Packed


def linear(x: Tensor, weight: Weight, bias: Tensor | None = None) -> Tensor:
    """Multiply by a matrix, packed or not.

    Args:
        x: (..., columns).
        weight: (rows, columns).
        bias: (rows,).

    Returns:
        (..., rows), of x's dtype.
    """
    if isinstance(weight, Tensor):
        product = linear_bf16 if x.dtype is torch.bfloat16 else F.linear
        return product(x, weight, bias)
    out = x.new_empty(*x.shape[:-1], weight.shape[-2])
    start = 0
    for part in parts_of(weight):
        stop = start + part.shape[-2]
        part_bias = None if bias is None else bias[start:stop]
        target = out[..., start:stop]
        if fused.packed_linear(x, part.kind, part.data, bias=part_bias, out=target) is None:
            target.copy_(_slab_linear(x, part, part_bias))
        start = stop
    return out


def _slab_linear(x: Tensor, weight: PackedWeight, bias: Tensor | None) -> Tensor:
    """Multiply by a packed matrix, slab by slab of decoded rows."""
    out = x.new_empty(*x.shape[:-1], weight.shape[-2])
    start = 0
    for slab in _slabs(weight):
        stop = start + slab.shape[-2]
        values = decode_rows(slab.kind, slab.data, x.dtype)
        out[..., start:stop] = F.linear(x, values, None if bias is None else bias[start:stop])
        start = stop
    return out


def decode_rows(kind: str, data: Tensor, dtype: torch.dtype) -> Tensor:
    """Decode packed rows (..., row_bytes) to (..., columns) of `dtype`, natively if possible."""
    values = fused.decode_rows(kind, data, dtype)
    return decode_rows_twin(kind, data).to(dtype) if values is None else values


def embedding(ids: Tensor, weight: Weight, dtype: torch.dtype) -> Tensor:
    """Look up rows of a matrix, packed or not: (...,) integers -> (..., columns) of `dtype`."""
    if isinstance(weight, Tensor):
        return F.embedding(ids, weight).to(dtype)
    assert isinstance(weight, PackedWeight), "an embedding is one matrix"
    found = fused.gather_rows(weight.kind, weight.data, ids, dtype)
    if found is not None:
        return found
    if weight.kind in ROW_KINDS:
        rows = tiled_rows(weight.data, ids, FORMATS[weight.kind].num_bytes)
        return decode_rows(ROW_KINDS[weight.kind], rows, dtype)
    return decode_rows(weight.kind, weight.data[ids], dtype)


def device_of(weight: Packed) -> torch.device:
    """Tell where a packed matrix, or stack, lives."""
    match weight:
        case PackedRows():
            return device_of(weight.parts[0])
        case PackedStack():
            return device_of(weight.matrices[0])
        case PackedWeight():
            return weight.data.device


def dequantize(weight: Packed, dtype: torch.dtype) -> Tensor:
    """Write a packed matrix, or stack, out as floats of its shape."""
    out = torch.empty(weight.shape, dtype=dtype, device=device_of(weight))
    dequantize_into(weight, out)
    return out


def dequantize_into(weight: Packed, out: Tensor) -> None:
    """Write a packed matrix, or stack, into a tensor of its shape, slab by slab."""
    if len(weight.shape) > 2:
        for expert, target in enumerate(out):
            dequantize_into(weight[expert], target)
        return
    start = 0
    for part in parts_of(weight):
        for slab in _slabs(part):
            stop = start + slab.shape[-2]
            out[start:stop] = decode_rows(slab.kind, slab.data, out.dtype)
            start = stop


def permute_rows(weight: Weight, order: Tensor) -> Weight:
    """Reorder rows, packed or not: row r of the result is row `order[r]` of `weight`.

    Args:
        weight: (rows, columns), or a vector (rows,), such as a bias.
        order: (rows,) int64.
    """
    if isinstance(weight, Tensor):
        return weight[order]
    assert isinstance(weight, PackedWeight), "rows of mixed formats cannot be moved between them"
    if weight.kind not in ROW_KINDS:
        return replace(weight, data=weight.data[order])
    block_bytes = FORMATS[weight.kind].num_bytes
    rows = tiled_rows(weight.data.contiguous(), order, block_bytes)
    return replace(weight, data=tile(rows, block_bytes))


def concat_rows(parts: Sequence[Tensor | PackedWeight | PackedStack]) -> Packed:
    """Set packed matrices (or stacks) one above the other, without a copy.

    Plain ones are packed as they are.
    """
    return PackedRows(tuple(_as_packed(part) for part in parts)).whole()


def stack_experts(experts: Sequence[Tensor | PackedWeight]) -> PackedWeight | PackedStack:
    """Make a stack of matrices of one format, without a copy.

    Plain ones are packed as they are; a stack that is one already stays what it is.
    """
    packed = [expert for expert in map(_as_packed, experts) if isinstance(expert, PackedWeight)]
    first = packed[0]
    assert all(expert.kind == first.kind for expert in packed), "experts differ in format"
    if len(packed) == 1:
        return replace(first, data=first.data.unsqueeze(0), shape=(1, *first.shape))
    return PackedStack(tuple(packed))


def _as_packed(weight: Tensor | PackedWeight | PackedStack) -> PackedWeight | PackedStack:
    if not isinstance(weight, Tensor):
        return weight
    data = weight.contiguous().view(torch.uint8)
    return PackedWeight(FLOAT_KINDS[weight.dtype], data, None, tuple(weight.shape))


def parts_of(weight: Packed) -> tuple[PackedWeight, ...]:
    """List the matrices, one above the other, of what is no stack."""
    parts = weight.parts if isinstance(weight, PackedRows) else (weight,)
    found = tuple(part for part in parts if isinstance(part, PackedWeight))
    assert len(found) == len(parts), weight.shape
    return found


def _slabs(weight: PackedWeight) -> Iterator[PackedWeight]:
    """Cut a matrix into ranges of rows whose floats stay below the slab's size."""
    num_rows, num_columns = weight.shape
    step = max(1, SLAB_BYTES // (4 * num_columns))
    step = -(-step // TILE_ROWS) * TILE_ROWS  # whole tiles, where there are any
    for start in range(0, num_rows, step):
        yield weight.rows(start, min(num_rows, start + step))
