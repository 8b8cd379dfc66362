"""Folders that GPTQ or AWQ quantized: groups of columns that share a step and a zero, as floats.

Such a matrix comes in parts: `X.qweight`, `X.qzeros`, `X.scales` and sometimes `X.g_idx`, which
names the group of each column. Here they are one tensor `X.weight`, (numbers - zeros) * scales.

Not here: the files (safetensors_files), and how they become blocks (quantize).
Source: `pack` and `dequantize` of AutoGPTQ's `qlinear_cuda_old.py` and AutoAWQ's
    `modules/linear/gemm.py`, and the keys that both write into config.json.

Axis letters of this file: O rows (outputs) · I columns (inputs) · G groups of columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from myna.core.errors import BadCheckpoint, Unsupported
from myna.kernels.packed import PackedWeight
from myna.kernels.scales import BLOCK_VALUES
from myna.weights.checkpoint import TensorInfo
from myna.weights.safetensors_files import SafetensorsCheckpoint

CONFIG, SECTION = "config.json", "quantization_config"
METHODS = ("gptq", "awq")
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # which of eight columns each nibble holds
PARTS = ("qzeros", "scales", "g_idx")


@dataclass(frozen=True)
class Scheme:
    """Say how numbers are packed.

    Attributes:
        method: "gptq" packs eight columns of a row into a word, "awq" eight rows of a column.
        bits: of a number.
        group_columns: how many share a scale; `None` if all of a row do.
        zero_offset: what is added to the zeros of the file.
    """

    method: str
    bits: int
    group_columns: int | None
    zero_offset: int


@dataclass(frozen=True)
class Stepped:
    """Hold a matrix, and the steps of which its values are whole multiples.

    Attributes:
        values: (O, I) float32.
        scales: (O, I/32) float16: the step of each block; `None` if a block has several.
    """

    values: Tensor
    scales: Tensor | None


class GroupedCheckpoint:
    """Read a folder that GPTQ or AWQ quantized: its matrices as floats, all else as it is.

    Args:
        folder: holds safetensors files, and a config.json that names the method.

    Raises:
        BadCheckpoint: a file is missing or damaged, or parts do not belong together.
        Unsupported: numbers are packed in a way that is not known here.
    """

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self.scheme = _read_scheme(folder)
        self.files = SafetensorsCheckpoint(folder)
        known = self.files.tensors
        bases = {name.removesuffix(".qweight") for name in known if name.endswith(".qweight")}
        taken = {f"{base}.{part}" for base in bases for part in PARTS}
        self.tensors: Mapping[str, TensorInfo] = {
            f"{name.removesuffix('.qweight')}.weight" if name.endswith(".qweight") else name: (
                self._info(name.removesuffix(".qweight")) if name.endswith(".qweight") else info
            )
            for name, info in known.items()
            if name not in taken
        }

    def read(self, name: str) -> Tensor | PackedWeight:
        """Read one tensor."""
        found = self.read_stepped(name)
        return found.values if isinstance(found, Stepped) else found

    def read_stepped(self, name: str) -> Tensor | PackedWeight | Stepped:
        """Read one tensor; of a quantized matrix, also the steps of its blocks."""
        base = name.removesuffix(".weight")
        if name in self.files.tensors:
            return self.files.read(name)
        numbers = self._numbers(base)  # (I, O) uint8
        zeros, scales = self._zeros(base), self._part(base, "scales")  # (G, O) each
        groups = self._groups(base, len(numbers))
        values = torch.empty(numbers.shape, dtype=torch.float32)
        for group in range(len(scales)):
            columns = slice(*groups.span(group)) if groups.is_regular else groups.ids == group
            steps = numbers[columns].float() - zeros[group].float()
            values[columns] = steps * scales[group].float()
        blocks = groups.of_blocks()
        per_block = None if blocks is None else scales[blocks].t().half().contiguous()  # (O, I/32)
        return Stepped(values.t().contiguous(), per_block)

    def close(self) -> None:
        """Let go of the files; what was read stays valid."""
        self.files.close()

    def _info(self, base: str) -> TensorInfo:
        """Describe a matrix, after its parts were found to belong together."""
        known = self.files.tensors
        missing = [part for part in ("qzeros", "scales") if f"{base}.{part}" not in known]
        if missing:
            raise BadCheckpoint(
                f"{self.name}: {base!r} has a qweight but no {' and no '.join(missing)}; download "
                "the model again"
            )
        weight = known[f"{base}.qweight"]
        shapes = [known[f"{base}.{part}"].shape for part in ("qweight", "qzeros", "scales")]
        per_word = 32 // self.scheme.bits
        rows, columns = (
            (shapes[0][-1], shapes[0][0] * per_word)
            if self.scheme.method == "gptq"
            else (shapes[0][-1] * per_word, shapes[0][0])
        )
        num_groups = -(-columns // (self.scheme.group_columns or columns))
        expected = [shapes[0], (num_groups, rows // per_word), (num_groups, rows)]
        if len(weight.shape) != 2 or weight.dtype != "I32" or shapes != expected:
            raise BadCheckpoint(
                f"{self.name}: the parts of {base!r} are {weight.dtype} and of shapes {shapes}, "
                f"which do not belong together; expected are {expected}"
            )
        return TensorInfo("F16", (rows, columns), weight.file, has_steps=True)

    def _part(self, base: str, part: str) -> Tensor:
        found = self.files.read(f"{base}.{part}")
        assert isinstance(found, Tensor), "headers of others name no blocks"
        return found

    def _numbers(self, base: str) -> Tensor:
        """Unpack a matrix: (I, O) uint8."""
        words = self._part(base, "qweight")
        fields = _unpacked(words, self.scheme.bits)  # (..., ..., fields)
        if self.scheme.method == "gptq":
            return fields.transpose(1, 2).flatten(0, 1)
        return fields[..., _inverse(AWQ_ORDER)].flatten(1)

    def _zeros(self, base: str) -> Tensor:
        """Unpack the zeros: (G, O) uint8."""
        fields = _unpacked(self._part(base, "qzeros"), self.scheme.bits)
        if self.scheme.method == "awq":
            return fields[..., _inverse(AWQ_ORDER)].flatten(1)
        mask = (1 << self.scheme.bits) - 1
        return ((fields.int() + self.scheme.zero_offset) & mask).to(torch.uint8).flatten(1)

    def _groups(self, base: str, num_columns: int) -> _Groups:
        size = self.scheme.group_columns or num_columns
        regular = torch.arange(num_columns) // size
        if f"{base}.g_idx" not in self.files.tensors:
            return _Groups(regular, size, is_regular=True)
        ids = self._part(base, "g_idx").long()
        num_groups = -(-num_columns // size)
        if ids.shape != regular.shape or int(ids.min()) < 0 or int(ids.max()) >= num_groups:
            raise BadCheckpoint(
                f"{self.name}: {base!r} names groups of its columns that are not there, in g_idx; "
                "download the model again"
            )
        return _Groups(ids, size, is_regular=torch.equal(ids, regular))


@dataclass(frozen=True)
class _Groups:
    """Say which group each column belongs to: ids (I,) int64; regular ones follow one another."""

    ids: Tensor
    size: int
    is_regular: bool

    def span(self, group: int) -> tuple[int, int]:
        """Give the columns of a regular group."""
        return group * self.size, (group + 1) * self.size

    def of_blocks(self) -> Tensor | None:
        """Give the group of each block (I/32,), if every block lies within one."""
        if len(self.ids) % BLOCK_VALUES:
            return None
        blocks = self.ids.view(-1, BLOCK_VALUES)
        first = blocks[:, :1]
        return first.flatten() if bool((blocks == first).all()) else None


def is_grouped(folder: Path) -> bool:
    """Tell whether config.json says that a folder was quantized by one of the known methods."""
    return _section(folder).get("quant_method") in METHODS


def _section(folder: Path) -> Mapping[str, object]:
    """Read what config.json says of quantization; what is damaged says nothing here."""
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    section = config.get(SECTION) if isinstance(config, dict) else None
    return section if isinstance(section, dict) else {}


def _read_scheme(folder: Path) -> Scheme:
    section = _section(folder)
    method, bits, size = (section.get(key) for key in ("quant_method", "bits", "group_size"))
    form = section.get("checkpoint_format", "gptq") if method == "gptq" else section.get("version")
    known_forms = ("gptq", "gptq_v2") if method == "gptq" else ("gemm", "GEMM")
    known_bits = (4, 8) if method == "gptq" else (4,)
    if method not in METHODS or bits not in known_bits or form not in known_forms:
        raise Unsupported(
            f"{folder / CONFIG} describes {method!r:.40} of {bits!r:.40} bits in the form "
            f"{form!r:.40}; read are GPTQ of 4 and 8 bits (gptq, gptq_v2) and AWQ of 4 (gemm): "
            "take another release of the model"
        )
    if not isinstance(size, int) or isinstance(size, bool) or size == 0 or size < -1:
        raise BadCheckpoint(f"{folder / CONFIG} says `group_size` is {size!r:.40}, not a number")
    assert isinstance(method, str)
    assert isinstance(bits, int)
    return Scheme(method, bits, None if size == -1 else size, int(form == "gptq"))


def _unpacked(words: Tensor, bits: int) -> Tensor:
    """Unpack (A, B) int32 words, lowest bits first: (A, B, 32 // bits) uint8."""
    octets = words.contiguous().view(torch.uint8).view(*words.shape, 4)
    if bits == 8:
        return octets
    return torch.stack((octets & 15, octets >> 4), dim=-1).flatten(2)


def _inverse(order: tuple[int, ...]) -> list[int]:
    """Tell at which place each item of an order stands."""
    return [order.index(item) for item in range(len(order))]
