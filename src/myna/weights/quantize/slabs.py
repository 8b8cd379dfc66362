"""What is to be encoded, a few rows at a time, so that a whole matrix never stands as floats.

Not here: reading (sources), encoding (encode).

Axis letters of this file: R rows · C columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import torch
from torch import Tensor

from myna.kernels.blocks import FORMATS, decode_rows
from myna.kernels.packed import PackedWeight
from myna.kernels.scales import BLOCK_VALUES
from myna.kernels.tiles import TILE_ROWS
from myna.weights.grouped import Stepped

SLAB_VALUES = 1 << 18  # one megabyte of floats: the search for scales stays in the cache
EVEN_KINDS = ("Q4_0", "Q5_0", "Q8_0")  # whose values are whole multiples of the block's scale

Readable = Tensor | PackedWeight | Stepped
Slab = tuple[Tensor, Tensor | None]


def slabs(weight: Readable, num_columns: int, *, num_values: int = SLAB_VALUES) -> Iterator[Slab]:
    """Cut a matrix, or a stack of them, into ranges of rows.

    Args:
        weight: of any shape whose values are whole rows of that many columns.
        num_columns: of a row.
        num_values: of a range, rounded up to whole tiles.

    Yields:
        (R, C) float32 and, where the source has steps of its own, those of each block: (R, C/32)
        float16.
    """
    num_rows = prod(_shape(weight)) // num_columns
    step = -(-num_values // num_columns // TILE_ROWS) * TILE_ROWS
    for start in range(0, num_rows, step):
        rows = slice(start, min(start + step, num_rows))
        if isinstance(weight, Tensor):
            yield weight.reshape(-1, num_columns)[rows].float(), None
        elif isinstance(weight, Stepped):
            yield weight.values[rows], None if weight.scales is None else weight.scales[rows]
        else:
            data = weight.data.flatten(0, -2)[rows]
            yield decode_rows(weight.kind, data), _own_scales(weight.kind, data)


def _shape(weight: Readable) -> tuple[int, ...]:
    return tuple(weight.values.shape if isinstance(weight, Stepped) else weight.shape)


def _own_scales(kind: str, data: Tensor) -> Tensor | None:
    """Read the steps of blocks that have one each."""
    if kind not in EVEN_KINDS:
        return None
    block = FORMATS[kind]
    assert block.num_values == BLOCK_VALUES
    blocks = data.reshape(len(data), -1, block.num_bytes)  # (R, C/32, bytes)
    return blocks[..., :2].contiguous().view(torch.float16).squeeze(-1)
