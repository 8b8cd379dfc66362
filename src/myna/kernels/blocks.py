"""Block formats of GGUF: how a few bytes spell a few weights, decoded with plain tensor operations.

Some of them come in tiles of sixteen rows as well, which is Myna's own order of the same blocks.
Two are not GGUF's: `Q6_0`, 6 bits with one scale for 32 weights (its own 6 bits come in blocks of
256), and `Q4_F8`, which is `Q4_0` with a scale of eight bits instead of sixteen: a sign, four bits
of exponent, three of mantissa, below 2. What is lost by that is less than a twentieth of the error
of rounding to 4 bits, and what is saved is a twentieth of all bytes.

Not here: that order (tiles), which tensor has which format (weights.gguf), products (packed).
Source: the byte layouts of ggml's `ggml-common.h`, of `Q6_0` that of ik_llama.cpp; products are
    taken in float32 in the order of the `gguf` package's `quants.py`, so that the values are equal
    to the bit.

Axis letter of this file: P blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from myna.kernels.scales import scales_of_bytes
from myna.kernels.tiles import ROW_KINDS, tiled_scales, untile

BLOCKS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class BlockFormat:
    """Describe one format.

    Attributes:
        name: ggml's name of the format.
        num_values: weights in a block.
        num_bytes: bytes in a block.
        decode: (P, num_bytes) uint8 -> (P, num_values) float32.
        scale_offsets: the bytes of a block at which its half-precision scales begin.
    """

    name: str
    num_values: int
    num_bytes: int
    decode: Callable[[Tensor], Tensor]
    scale_offsets: tuple[int, ...] = ()

    def row_bytes(self, num_columns: int) -> int:
        """Give the bytes of a row of that many weights, which must be whole blocks."""
        assert num_columns % self.num_values == 0, (self.name, num_columns)
        return num_columns // self.num_values * self.num_bytes


def _float(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Make the decoder of a format whose block is one number."""

    def decode(blocks: Tensor) -> Tensor:
        return _aligned(blocks).view(dtype).float()

    return decode


def _aligned(part: Tensor) -> Tensor:
    """Copy bytes to a storage of their own, where wider types can be read from them."""
    return part.clone(memory_format=torch.contiguous_format)


def _half(blocks: Tensor, offset: int) -> Tensor:
    """Read each block's half-precision number at `offset`: (P, 1) float32."""
    start = offset // 2
    return blocks.view(torch.float16)[:, start : start + 1].float()


def _fields(packed: Tensor, width: int) -> Tensor:
    """Split bytes (P, A, B) into fields of `width` bits, lowest first: (P, A, 8 // width, B).

    Four or eight bytes are shifted at a time; what comes over from a neighbour is masked away.
    """
    lane = torch.int64 if packed.shape[-1] % 8 == 0 else torch.int32
    lanes = _aligned(packed).view(lane)
    mask = int.from_bytes(bytes([(1 << width) - 1] * lane.itemsize))
    fields = [(lanes >> shift) & mask for shift in range(0, 8, width)]
    return torch.stack(fields, dim=-2).view(torch.uint8)


def _nibbles(blocks: Tensor, offset: int) -> Tensor:
    """Read 16 bytes as 32 numbers of 4 bits, the low halves first: (P, 32)."""
    return _fields(blocks[:, None, offset : offset + 16], 4).flatten(1)


def _high_bits(blocks: Tensor, offset: int) -> Tensor:
    """Read 4 bytes as 32 bits, moved to the place of a fifth bit: (P, 32)."""
    bits = _FIFTH_BITS.to(blocks.device)[blocks[:, offset : offset + 4].int()]  # (P, 4)
    return bits.view(torch.uint8)


def _spread_bits() -> Tensor:
    """List what `_high_bits` makes of each byte, eight bytes as one number: (256,) int64."""
    bits = (torch.arange(256)[:, None] >> torch.arange(8)) & 1  # (256, 8)
    return (bits << 4).to(torch.uint8).view(torch.int64).flatten()


_FIFTH_BITS = _spread_bits()


def _q4_0(blocks: Tensor) -> Tensor:
    quants = _nibbles(blocks, 2).view(torch.int8) - 8
    return _half(blocks, 0) * quants.float()


def _q4_f8(blocks: Tensor) -> Tensor:
    quants = _nibbles(blocks, 1).view(torch.int8) - 8
    return scales_of_bytes(blocks[:, :1]).float() * quants.float()


def _q4_1(blocks: Tensor) -> Tensor:
    return _half(blocks, 0) * _nibbles(blocks, 4).float() + _half(blocks, 2)


def _q5_0(blocks: Tensor) -> Tensor:
    quants = (_nibbles(blocks, 6) | _high_bits(blocks, 2)).view(torch.int8) - 16
    return _half(blocks, 0) * quants.float()


def _q5_1(blocks: Tensor) -> Tensor:
    quants = _nibbles(blocks, 8) | _high_bits(blocks, 4)
    return _half(blocks, 0) * quants.float() + _half(blocks, 2)


def _q6_0(blocks: Tensor) -> Tensor:
    high = _fields(blocks[:, None, 2:10], 4).flatten(1)  # (P, 16), of both halves
    upper = torch.cat(((high & 3) << 4, (high & 12) << 2), dim=1)  # (P, 32)
    quants = (_nibbles(blocks, 10) | upper).view(torch.int8) - 32
    return _half(blocks, 0) * quants.float()


def _q8_0(blocks: Tensor) -> Tensor:
    return _half(blocks, 0) * blocks[:, 2:].view(torch.int8).float()


def _q2_k(blocks: Tensor) -> Tensor:
    scales = blocks[:, :16]
    step = _half(blocks, 80) * (scales & 15).float()  # (P, 16)
    floor = _half(blocks, 82) * (scales >> 4).float()  # (P, 16)
    quants = _fields(blocks[:, 16:80].reshape(-1, 2, 32), 2)  # (P, 2, 4, 32)
    return _scale(quants, step, floor)


def _q3_k(blocks: Tensor) -> Tensor:
    low = _fields(blocks[:, 32:96].reshape(-1, 2, 32), 2).flatten(1)  # (P, 256)
    high = _fields(blocks[:, None, :32], 1).flatten(1)  # (P, 256)
    quants = low.view(torch.int8) - ((high ^ 1) << 2).view(torch.int8)
    scale_low = _fields(blocks[:, None, 96:104], 4).flatten(1)  # (P, 16)
    scale_high = _fields(blocks[:, None, 104:108], 2).flatten(1)  # (P, 16)
    scales = (scale_low | (scale_high << 4)).view(torch.int8) - 32
    return _scale(quants, _half(blocks, 108) * scales.float())


def _q4_k(blocks: Tensor) -> Tensor:
    step, floor = _k_scales(blocks)
    quants = _fields(blocks[:, 16:].reshape(-1, 4, 32), 4)  # (P, 4, 2, 32)
    return _scale(quants, step, floor)


def _q5_k(blocks: Tensor) -> Tensor:
    step, floor = _k_scales(blocks)
    low = _fields(blocks[:, 48:].reshape(-1, 4, 32), 4).flatten(1)  # (P, 256)
    high = _fields(blocks[:, None, 16:48], 1).flatten(1)  # (P, 256)
    return _scale(low | (high << 4), step, floor)


def _q6_k(blocks: Tensor) -> Tensor:
    low = _fields(blocks[:, :128].reshape(-1, 2, 64), 4).flatten(1)  # (P, 256)
    high = _fields(blocks[:, 128:192].reshape(-1, 2, 32), 2).flatten(1)  # (P, 256)
    quants = (low | (high << 4)).view(torch.int8) - 32
    scales = blocks[:, 192:208].view(torch.int8).float()  # (P, 16)
    return _scale(quants, _half(blocks, 208) * scales)


def _k_scales(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Read the 6-bit scales and minima of Q4_K and Q5_K, times the block's: two of (P, 8)."""
    first, second, third = blocks[:, 4:16].chunk(3, dim=1)  # (P, 4) each
    scales = torch.cat([first & 63, (third & 15) | ((first >> 6) << 4)], dim=1)
    minima = torch.cat([second & 63, (third >> 4) | ((second >> 6) << 4)], dim=1)
    return _half(blocks, 0) * scales.float(), _half(blocks, 2) * minima.float()


def _scale(quants: Tensor, step: Tensor, floor: Tensor | None = None) -> Tensor:
    """Multiply J groups of 256 numbers by their steps (P, J), less their floors: (P, 256)."""
    groups = quants.reshape(len(quants), step.shape[1], -1)  # (P, J, 256 // J)
    values = step.unsqueeze(-1) * groups.float()
    if floor is not None:
        values -= floor.unsqueeze(-1)
    return values.flatten(1)


FORMATS: Mapping[str, BlockFormat] = MappingProxyType(
    {
        item.name: item
        for item in (
            BlockFormat("F32", 1, 4, _float(torch.float32)),
            BlockFormat("F16", 1, 2, _float(torch.float16)),
            BlockFormat("BF16", 1, 2, _float(torch.bfloat16)),
            BlockFormat("Q4_0", 32, 18, _q4_0, (0,)),
            BlockFormat("Q4_1", 32, 20, _q4_1, (0, 2)),
            BlockFormat("Q5_0", 32, 22, _q5_0, (0,)),
            BlockFormat("Q5_1", 32, 24, _q5_1, (0, 2)),
            BlockFormat("Q8_0", 32, 34, _q8_0, (0,)),
            BlockFormat("Q6_0", 32, 26, _q6_0, (0,)),
            BlockFormat("Q4_F8", 32, 17, _q4_f8),
            BlockFormat("Q4_0_R16", 32, 18, _q4_0, (0,)),
            BlockFormat("Q4_F8_R16", 32, 17, _q4_f8),
            BlockFormat("Q6_0_R16", 32, 26, _q6_0, (0,)),
            BlockFormat("Q8_0_R16", 32, 34, _q8_0, (0,)),
            BlockFormat("Q2_K", 256, 84, _q2_k, (80, 82)),
            BlockFormat("Q3_K", 256, 110, _q3_k, (108,)),
            BlockFormat("Q4_K", 256, 144, _q4_k, (0, 2)),
            BlockFormat("Q5_K", 256, 176, _q5_k, (0, 2)),
            BlockFormat("Q6_K", 256, 210, _q6_k, (208,)),
        )
    }
)


def decode_rows(kind: str, data: Tensor) -> Tensor:
    """Decode packed rows.

    Args:
        kind: a key of `FORMATS`.
        data: (..., row_bytes) uint8.

    Returns:
        (..., columns) float32.
    """
    block = FORMATS[kind]
    if kind in ROW_KINDS:
        data = untile(data, block.num_bytes)
    values = block.decode(_blocks(data, block.num_bytes))  # (P, num_values)
    return values.reshape(*data.shape[:-1], data.shape[-1] // block.num_bytes * block.num_values)


def has_finite_scales(kind: str, data: Tensor) -> bool:
    """Tell whether no scale of packed rows (..., row_bytes) is infinite or not a number."""
    block = FORMATS[kind]
    if not block.scale_offsets:
        return True
    if kind in ROW_KINDS:
        return bool(tiled_scales(data, block.num_bytes).isfinite().all())
    blocks = _blocks(data, block.num_bytes)
    return all(
        bool(_half(blocks[start : start + BLOCKS_AT_ONCE], offset).isfinite().all())
        for start in range(0, len(blocks), BLOCKS_AT_ONCE)
        for offset in block.scale_offsets
    )


def _blocks(data: Tensor, num_bytes: int) -> Tensor:
    """Cut rows into blocks (P, num_bytes) that begin at even addresses, as half precision wants."""
    blocks = data.reshape(-1, num_bytes)
    return blocks if blocks.data_ptr() % 2 == 0 and blocks.is_contiguous() else _aligned(blocks)
