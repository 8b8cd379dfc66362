"""Write one shard in blocks, so that a run that was killed goes on where its last step ended.

The header settles where every tensor lies, so they are written from the last to the first: a source
that is to be used up can be cut short behind what is written, and still begins with its header.

Not here: what becomes of each tensor (scheme) and how (encode), and the other shards (job).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec
import torch
from torch import Tensor

from myna.core.errors import BadCheckpoint
from myna.kernels.blocks import FORMATS, decode_rows
from myna.kernels.packed import PackedWeight
from myna.weights.checkpoint import DTYPES, TensorInfo
from myna.weights.grouped import Stepped
from myna.weights.quantize.compensate import can_compensate, compensate, spread_of
from myna.weights.quantize.encode import encode_rows, largest_value
from myna.weights.quantize.scheme import Choice, Recipe, matrix_shape
from myna.weights.quantize.slabs import SLAB_VALUES, Readable, slabs
from myna.weights.safetensors_header import BLOCKS_KEY, BLOCKS_VERSION

HEADER_ALIGNMENT = 64  # of what follows it: a vector read from a mapped file lies in one line
COMPENSATED_VALUES = 1 << 24  # columns are gone through one by one, for all these rows at once
STEP_BYTES = 256 << 20  # read between two places at which a killed run can go on


class ShardSource(Protocol):
    """Give the tensors of one shard."""

    @property
    def stamp(self) -> str:
        """Tell these bytes from others: what was begun with those is begun anew."""
        ...

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """List them, in the order in which they are to lie in the file."""
        ...

    @property
    def num_bytes(self) -> int:
        """Count the bytes of all that they are made of."""
        ...

    def read(self, name: str) -> Readable:
        """Read one tensor."""
        ...

    def drop(self, num_left: int) -> None:
        """Learn that all tensors but the first `num_left` are written, and never read again."""
        ...


class ShardState(msgspec.Struct):
    """Tell how far a shard is, and what was done to it; is kept on disk between steps.

    Attributes:
        stamp: of the source.
        num_left: how many tensors, from the first on, are still to be written.
        left_bytes: of these, as they will be.
        num_tensors: by format; what is kept is under its dtype.
        bytes_before: of all tensors.
        bytes_after: of all tensors.
        reasons: why tensors become what they are, and of how many that is true.
        squares: by format, sums of what is written: of the errors' squares, of the weights'.
        num_bytes: of the file; with its sum, known when all is done.
        sha256: of the file.
    """

    stamp: str
    num_left: int
    left_bytes: int
    num_tensors: dict[str, int]
    bytes_before: int
    bytes_after: int
    reasons: dict[str, int]
    squares: dict[str, tuple[float, float]]
    num_bytes: int = 0
    sha256: str | None = None


def new_state(source: ShardSource, recipe: Recipe) -> ShardState:
    """Describe a shard that is not begun."""
    choices = {name: recipe.choose(name, info) for name, info in source.tensors.items()}
    after = [_after(name, info, choices[name]) for name, info in source.tensors.items()]
    num_bytes = sum(info.num_bytes for info in after)
    return ShardState(
        stamp=source.stamp,
        num_left=len(after),
        left_bytes=num_bytes,
        num_tensors=dict(Counter(info.dtype for info in after)),
        bytes_before=source.num_bytes,
        bytes_after=num_bytes,
        reasons=dict(Counter(choice.reason for choice in choices.values())),
        squares={},
    )


def write_shard(
    path: Path,
    source: ShardSource,
    recipe: Recipe,
    *,
    state: ShardState,
    save: Callable[[], None],
    advance: Callable[[int], None],
) -> None:
    """Write what is left of a shard.

    Args:
        path: of the file, which is begun if nothing of it is written.
        source: the tensors.
        recipe: what becomes of them.
        state: how far the file is; is changed.
        save: keeps the state, which describes what is safely on disk by then.
        advance: told the bytes read of each tensor.

    Raises:
        BadCheckpoint: a tensor holds values that no block can spell.
    """
    choices = {name: recipe.choose(name, info) for name, info in source.tensors.items()}
    after = {name: _after(name, info, choices[name]) for name, info in source.tensors.items()}
    header, after_bytes = spell_header(after), [info.num_bytes for info in after.values()]
    if state.num_left == len(after_bytes):
        with path.open("wb") as file:
            file.write(header)
            file.truncate(len(header) + state.bytes_after)
    left = list(source.tensors.items())[: state.num_left]
    position = len(header) + sum(after_bytes[: len(left)])
    left_bytes, since_bytes = state.left_bytes, 0
    with path.open("r+b") as file:
        while left:
            name, info = left.pop()
            num_bytes = after_bytes[len(left)]
            position -= num_bytes
            file.seek(position)
            _write_tensor(file, source, name, choices[name], recipe, state)
            left_bytes -= num_bytes
            since_bytes += info.num_bytes
            advance(info.num_bytes)
            if since_bytes >= STEP_BYTES or not left:
                file.flush()
                os.fsync(file.fileno())
                state.num_left, state.left_bytes, since_bytes = len(left), left_bytes, 0
                save()
                source.drop(len(left))


def _write_tensor(
    file: BinaryIO,
    source: ShardSource,
    name: str,
    choice: Choice,
    recipe: Recipe,
    state: ShardState,
) -> None:
    weight, info = source.read(name), source.tensors[name]
    if choice.kind is None or choice.kind == info.dtype:
        _write(file, _as_stored(weight, info))
        return
    errors, weights = state.squares.get(choice.kind, (0.0, 0.0))
    encode = _encoder(name, choice.kind, recipe)
    slab_values = COMPENSATED_VALUES if name in recipe.moments else SLAB_VALUES
    columns = matrix_shape(name, info.shape)[-1]
    for values, steps in slabs(weight, columns, num_values=slab_values):
        blocks = encode(values, steps)
        decoded = decode_rows(choice.kind, blocks)
        error = float((decoded - values).square().sum(dtype=torch.float64))
        largest = float(values.abs().amax())
        if not error < float("inf") or largest > largest_value(choice.kind):
            raise BadCheckpoint(
                f"{info.file}: {name!r} holds values that are no numbers, or too "
                f"large for {choice.kind} (above {largest_value(choice.kind):g}); take more bits, "
                "or download the model again"
            )
        errors += error
        weights += float(values.square().sum(dtype=torch.float64))
        _write(file, blocks)
    state.squares[choice.kind] = (errors, weights)


def _encoder(name: str, kind: str, recipe: Recipe) -> Callable[[Tensor, Tensor | None], Tensor]:
    """Choose how rows of a matrix are encoded, by what is known of what its columns multiply."""
    moments, importance = recipe.moments.get(name), recipe.importance.get(name)
    if moments is None or not can_compensate(kind):
        return lambda values, steps: encode_rows(kind, values, importance, steps)
    spread = spread_of(moments)

    def encode(values: Tensor, _steps: Tensor | None) -> Tensor:
        made = compensate(values, spread, kind=kind)
        return encode_rows(kind, made.values, None, made.scales)

    return encode


def _as_stored(weight: Readable, info: TensorInfo) -> Tensor:
    """Give the bytes of what is kept, in the type that the header names."""
    if isinstance(weight, PackedWeight):
        return weight.data
    values = weight.values if isinstance(weight, Stepped) else weight
    return values.to(DTYPES[info.dtype])


def _after(name: str, info: TensorInfo, choice: Choice) -> TensorInfo:
    """Describe a tensor as it will be."""
    if choice.kind is None:
        return TensorInfo(info.dtype, info.shape, info.file)
    return TensorInfo(choice.kind, matrix_shape(name, info.shape), info.file)


def spell_header(infos: Mapping[str, TensorInfo]) -> bytes:
    """Spell a file's header, blocks as bytes that the metadata call blocks.

    Args:
        infos: of the tensors as they are written, in order.
    """
    formats = {name: info.dtype for name, info in infos.items() if info.is_packed}
    blocks = json.dumps({"version": BLOCKS_VERSION, "formats": formats}, ensure_ascii=False)
    header: dict[str, object] = {"__metadata__": {"format": "pt", BLOCKS_KEY: blocks}}
    start = 0
    for name, info in infos.items():
        shape = list(info.shape)
        if info.is_packed:
            shape[-1] = FORMATS[info.dtype].row_bytes(shape[-1])
        stop = start + info.num_bytes
        dtype = "U8" if info.is_packed else info.dtype
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % HEADER_ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _write(file: BinaryIO, tensor: Tensor) -> None:
    file.write(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
