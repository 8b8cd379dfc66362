"""GPTQ and AWQ: packed and unpacked here number by number, as their formats are described."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from myna.core.errors import BadCheckpoint, MynaError, Unsupported
from myna.weights.grouped import GroupedCheckpoint, Stepped, is_grouped

ROWS, COLUMNS = 16, 64
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": False}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}


def to_words(numbers: list[list[int]], bits: int, order: list[int] | None = None) -> Tensor:
    """Pack rows of numbers, as many as go into 32 bits at a time: nibble i holds order[i]."""
    per_word = 32 // bits
    order = order or list(range(per_word))
    rows = []
    for row in numbers:
        words = []
        for start in range(0, len(row), per_word):
            word = 0
            for place, which in enumerate(order):
                word |= row[start + which] << (bits * place)
            words.append(word - (1 << 32) if word >= 1 << 31 else word)
        rows.append(words)
    return torch.tensor(rows, dtype=torch.int32)


class Matrix:
    """Draw numbers, zeros and scales; spell what they mean with plain loops."""

    def __init__(self, *, bits: int = 4, group: int = 32, zero: int | None = None) -> None:
        generator = torch.Generator().manual_seed(group)
        top = 1 << bits
        count = COLUMNS // group

        def draw(*shape: int) -> Tensor:
            return torch.randint(0, top, shape, generator=generator)

        self.numbers = draw(COLUMNS, ROWS).tolist()  # (I, O)
        zeros = draw(count, ROWS) if zero is None else torch.full((count, ROWS), zero)
        self.zeros = zeros.tolist()
        self.scales = (torch.rand(count, ROWS, generator=generator) + 0.1).half()
        self.groups = [column // group for column in range(COLUMNS)]
        self.bits = bits

    def values(self) -> Tensor:
        """Give (O, I) float32."""
        out = torch.empty(ROWS, COLUMNS)
        for row in range(ROWS):
            for column in range(COLUMNS):
                group = self.groups[column]
                step = self.numbers[column][row] - self.zeros[group][row]
                out[row, column] = step * float(self.scales[group][row])
        return out

    def gptq(self, *, stored: int = 1) -> dict[str, Tensor]:
        """Pack along columns; of the zeros, `stored` less than they are."""
        columns = [[line[row] for line in self.numbers] for row in range(ROWS)]
        top = (1 << self.bits) - 1
        zeros = [[(zero - stored) & top for zero in line] for line in self.zeros]
        return {
            "a.qweight": to_words(columns, self.bits).t().contiguous(),
            "a.qzeros": to_words(zeros, self.bits),
            "a.scales": self.scales,
            "a.g_idx": torch.tensor(self.groups, dtype=torch.int32),
        }

    def awq(self) -> dict[str, Tensor]:
        """Pack along rows, in the order of its kernels."""
        order = [0, 2, 4, 6, 1, 3, 5, 7]
        return {
            "a.qweight": to_words(self.numbers, 4, order),
            "a.qzeros": to_words(self.zeros, 4, order),
            "a.scales": self.scales,
        }


def write(folder: Path, tensors: dict[str, Tensor], section: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    save_file({**tensors, "norm": torch.ones(3)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"quantization_config": section}))
    return folder


def read(folder: Path) -> Stepped:
    checkpoint = GroupedCheckpoint(folder)
    assert checkpoint.tensors.keys() == {"a.weight", "norm"}
    info = checkpoint.tensors["a.weight"]
    assert (info.dtype, info.shape) == ("F16", (ROWS, COLUMNS))
    assert torch.equal(checkpoint.read("norm"), torch.ones(3))
    found = checkpoint.read_stepped("a.weight")
    assert isinstance(found, Stepped)
    assert torch.equal(checkpoint.read("a.weight"), found.values)
    checkpoint.close()
    return found


@pytest.mark.parametrize("group", [32, 64])
@pytest.mark.parametrize("how", ["gptq", "gptq_v2", "gptq_8", "awq"])
def test_every_number_is_what_the_format_says(tmp_path: Path, how: str, group: int) -> None:
    matrix = Matrix(bits=8 if how == "gptq_8" else 4, group=group)
    tensors, section = {
        "gptq": lambda: (matrix.gptq(), GPTQ),
        "gptq_v2": lambda: (matrix.gptq(stored=0), {**GPTQ, "checkpoint_format": "gptq_v2"}),
        "gptq_8": lambda: (matrix.gptq(), {**GPTQ, "bits": 8}),
        "awq": lambda: (matrix.awq(), AWQ),
    }[how]()
    found = read(write(tmp_path / "model", tensors, {**section, "group_size": group}))
    assert torch.equal(found.values, matrix.values())
    assert found.scales is not None
    for block in range(COLUMNS // 32):
        assert torch.equal(found.scales[:, block], matrix.scales[block * 32 // group])


def test_one_group_a_row(tmp_path: Path) -> None:
    matrix = Matrix(group=COLUMNS)
    tensors = {name: data for name, data in matrix.gptq().items() if name != "a.g_idx"}
    found = read(write(tmp_path / "model", tensors, {**GPTQ, "group_size": -1}))
    assert torch.equal(found.values, matrix.values())


def test_columns_may_be_grouped_in_any_order(tmp_path: Path) -> None:
    matrix = Matrix()
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(COLUMNS, generator=generator)
    matrix.groups = [matrix.groups[column] for column in order.tolist()]
    found = read(write(tmp_path / "model", matrix.gptq(), GPTQ))
    assert torch.equal(found.values, matrix.values())
    assert found.scales is None  # a block has several


def test_small_groups_have_several_steps_in_a_block(tmp_path: Path) -> None:
    matrix = Matrix(group=16)
    found = read(write(tmp_path / "model", matrix.awq(), {**AWQ, "group_size": 16}))
    assert torch.equal(found.values, matrix.values())
    assert found.scales is None


@pytest.mark.parametrize(
    ("kind", "section", "message"),
    [
        (Unsupported, {**GPTQ, "bits": 3}, "describes 'gptq' of 3 bits in the form 'gptq'; read"),
        (Unsupported, {**AWQ, "version": "gemv"}, "'awq' of 4 bits in the form 'gemv'"),
        (Unsupported, {**AWQ, "bits": 8}, "'awq' of 8 bits"),
        (Unsupported, {**GPTQ, "checkpoint_format": "marlin"}, "in the form 'marlin'"),
        (BadCheckpoint, {**GPTQ, "group_size": 0}, "says `group_size` is 0, not a number"),
        (BadCheckpoint, {**GPTQ, "group_size": "x"}, "says `group_size` is 'x', not a number"),
        (BadCheckpoint, {**GPTQ, "group_size": 16}, "which do not belong together; expected are"),
    ],
)
def test_what_cannot_be_read_is_told(
    tmp_path: Path, kind: type[MynaError], section: dict[str, Any], message: str
) -> None:
    folder = write(tmp_path / "model", Matrix().gptq(), section)
    with pytest.raises(kind, match=re.escape(message)):
        GroupedCheckpoint(folder)


def test_parts_that_are_missing_or_point_nowhere_are_told(tmp_path: Path) -> None:
    tensors = Matrix().gptq()
    rest = {name: data for name, data in tensors.items() if name != "a.scales"}
    with pytest.raises(BadCheckpoint, match="'a' has a qweight but no scales; download"):
        GroupedCheckpoint(write(tmp_path / "model", rest, GPTQ))
    tensors["a.g_idx"] = tensors["a.g_idx"] + 1
    checkpoint = GroupedCheckpoint(write(tmp_path / "model", tensors, GPTQ))
    with pytest.raises(BadCheckpoint, match="'a' names groups of its columns that are not there"):
        checkpoint.read("a.weight")


def test_folders_of_others_are_not_taken_for_grouped(tmp_path: Path) -> None:
    assert is_grouped(write(tmp_path / "model", Matrix().awq(), AWQ))
    assert not is_grouped(write(tmp_path / "model", {}, {"quant_method": "fp8"}))
    for text in ("{", "[]", '{"quantization_config": 3}'):
        (tmp_path / "model/config.json").write_text(text)
        assert not is_grouped(tmp_path / "model")
    assert not is_grouped(tmp_path)
