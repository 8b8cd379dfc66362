"""Gated networks in one call: each row of x through those it chose, products and activation fused.

Not here: the choice (layers.moe), and products one by one (packed), which are the twin.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from myna.kernels import structs
from myna.kernels.fused import FORMATS, HAS_MATRIX_UNIT, is_rounded, max_rows
from myna.kernels.native import DTYPES, is_plain, native
from myna.kernels.packed import FLOAT_KINDS, PackedRows, PackedWeight, Weight, parts_of

# What the kernels want widths to be multiples of.
MULTIPLE = 32
# With a matrix unit, long prompts are faster when experts are written out as floats.
MAX_ROWS = 64 if HAS_MATRIX_UNIT else 1 << 20


@dataclass(frozen=True, eq=False)
class Networks:
    """Hold the addresses of X networks, and the matrices themselves so that they stay there.

    Attributes:
        table: (X,) structs.
        width: D.
        hidden_width: F.
        kept: what the addresses point into.
    """

    table: ctypes.Array[structs.Network]
    width: int
    hidden_width: int
    kept: Sequence[object]


def matrix(weight: Weight, dtype: torch.dtype) -> structs.Matrix | None:
    """Describe one matrix to the kernels; `None` if they cannot read it in place.

    Args:
        weight: (rows, columns), packed or not.
        dtype: of the activations, which settles whether they are rounded.
    """
    if isinstance(weight, Tensor):
        kind, data = FLOAT_KINDS.get(weight.dtype, ""), weight
    elif isinstance(weight, PackedWeight):
        kind, data = weight.kind, weight.data
    else:
        return None
    rows, columns = weight.shape
    if kind not in FORMATS or columns % FORMATS[kind][1] or not is_plain(data):
        return None
    return structs.Matrix(data.data_ptr(), rows, columns, FORMATS[kind][0], is_rounded(kind, dtype))


def bind(gate_up: Sequence[Weight], down: Sequence[Weight], dtype: torch.dtype) -> Networks | None:
    """Describe networks to the kernels; `None` if they cannot read one of them in place.

    Args:
        gate_up: of each network, (2*F, D), gate's rows first.
        down: of each network, (D, F).
        dtype: of the activations.
    """
    if native() is None:
        return None
    width, hidden_width = down[0].shape
    if width % MULTIPLE or hidden_width % MULTIPLE:
        return None
    table = (structs.Network * len(down))()
    for network, upper, lower in zip(table, gate_up, down, strict=True):
        parts = [matrix(part, dtype) for part in (*_halves(upper), lower)]
        if any(part is None for part in parts):
            return None
        network.gate, network.up, network.down = parts
    return Networks(table, width, hidden_width, (gate_up, down))


def feed_forward(x: Tensor, networks: Networks, chosen: Tensor, shares: Tensor) -> Tensor | None:
    """Sum what each row's networks say, each weighted by its share.

    Args:
        x: (N, D) float32 or bfloat16.
        networks: X of them, bound for that type.
        chosen: (N, k) int64, below X.
        shares: (N, k) of x's dtype.

    Returns:
        (N, D) of x's dtype; a row's results are added in float32 in the order of the networks,
        whatever rows stand beside it. `None` where the kernel cannot serve.
    """
    kernels = native()
    if kernels is None or x.dtype not in DTYPES or x.requires_grad or not x.is_cpu:
        return None
    if not 0 < len(x) <= MAX_ROWS or x.shape[-1] != networks.width:
        return None
    x, chosen, shares = x.contiguous(), chosen.contiguous(), shares.to(x.dtype).contiguous()
    out = torch.empty_like(x)
    call = structs.FeedForward(
        x=x.data_ptr(),
        networks=ctypes.addressof(networks.table),
        chosen=chosen.data_ptr(),
        shares=shares.data_ptr(),
        out=out.data_ptr(),
        n=len(x),
        num_networks=len(networks.table),
        num_chosen=chosen.shape[1],
        dtype=DTYPES[x.dtype],
    )
    address = ctypes.addressof(call)
    num_bytes = kernels.feed_forward_scratch(kernels.level, address)
    scratch = torch.empty(num_bytes, dtype=torch.uint8)
    call.scratch = scratch.data_ptr()
    kernels.feed_forward(kernels.level, torch.get_num_threads(), address)
    return out


def gated(x: Tensor, gate_up: Weight, down: Weight) -> Tensor | None:
    """Run every row of x through one packed network: down(silu(gate x) * up x).

    Hidden values are never written out, nor rounded but for the next product.

    Args:
        x: (..., D) float32 or bfloat16.
        gate_up: (2*F, D), gate's rows first.
        down: (D, F).

    Returns:
        (..., D) of x's dtype; `None` where the kernel cannot serve, or products one by one are
        faster.
    """
    if isinstance(gate_up, Tensor) or isinstance(down, Tensor):
        return None
    rows = x.flatten(0, -2)  # (N, D)
    kinds = {part.kind for part in (*parts_of(gate_up), *parts_of(down))}
    if any(len(rows) > max_rows(kind, x.dtype) for kind in kinds):
        return None
    networks = bind([gate_up], [down], x.dtype)
    if networks is None:
        return None
    chosen, shares = rows.new_zeros(len(rows), 1, dtype=torch.int64), rows.new_ones(len(rows), 1)
    out = feed_forward(rows, networks, chosen, shares)
    return None if out is None else out.view(x.shape)


def _halves(weight: Weight) -> tuple[Weight, Weight]:
    """Cut gate's rows from up's, without a copy."""
    half = weight.shape[-2] // 2
    if isinstance(weight, Tensor):
        return weight[:half], weight[half:]
    if isinstance(weight, PackedRows):
        return weight.split(half)
    assert isinstance(weight, PackedWeight), "a stack is no matrix"
    return weight.rows(0, half), weight.rows(half, 2 * half)
