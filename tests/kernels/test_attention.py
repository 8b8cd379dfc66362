"""Decode attention against its twin and against torch's own attention in double precision."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from myna.kernels.attention import (
    MAX_HEAD_WIDTH,
    paged_attention,
    paged_attention_gathered,
    paged_attention_native,
    paged_attention_twin,
)
from myna.kernels.native import Native

FP32_ATOL = 1e-5  # float32 sums of a few hundred terms of order 1
BF16_ATOL = 2**-6  # one bfloat16 ulp for 2 <= |x| < 4
# Key heads, query heads for each, head width, tokens in a block.
HEADS = [
    (1, 1, 16, 16),
    (2, 7, 64, 16),
    (2, 4, 128, 32),
    (3, 2, 80, 16),
    (1, 3, 5, 4),
    (2, 1, 33, 1),
]
LENGTHS = [1, 3, 16, 17, 255, 256, 257, 600]


@dataclass(frozen=True)
class Case:
    """Hold one call's arguments."""

    q: Tensor
    keys: Tensor
    values: Tensor
    block_tables: Tensor
    lengths: Tensor
    scale: float

    def rows(self, *picked: int) -> Case:
        """Give the same call for some of the requests."""
        index = torch.tensor(picked)
        return Case(
            self.q[index],
            self.keys,
            self.values,
            self.block_tables[index],
            self.lengths[index],
            self.scale,
        )


def draw(
    heads: tuple[int, int, int, int], lengths: list[int], *, dtype: torch.dtype, seed: int
) -> Case:
    """Draw requests whose blocks lie scattered in a cache that is NaN wherever nobody wrote."""
    num_kv, shared, width, block_tokens = heads
    generator = torch.Generator().manual_seed(seed)
    counts = [-(-length // block_tokens) for length in lengths]
    table_width = max(counts) + 1
    num_blocks = sum(counts) + 3
    order = torch.randperm(num_blocks, generator=generator).int()
    tables = torch.full((len(lengths), table_width), 10**6, dtype=torch.int32)
    keys = torch.full((num_blocks, block_tokens, num_kv, width), torch.nan)
    values = keys.clone()
    taken = 0
    for row, (count, length) in enumerate(zip(counts, lengths, strict=True)):
        blocks = order[taken : taken + count]
        tables[row, :count] = blocks
        taken += count
        slots = (blocks[:, None] * block_tokens + torch.arange(block_tokens)).flatten()[:length]
        for store in (keys, values):
            store.flatten(0, 1)[slots] = torch.randn(length, num_kv, width, generator=generator)
    q = torch.randn(len(lengths), num_kv * shared, width, generator=generator)
    to = {"dtype": dtype}
    return Case(
        q.to(**to), keys.to(**to), values.to(**to), tables, torch.tensor(lengths).int(), width**-0.5
    )


def run_native(kernels: Native, case: Case) -> Tensor:
    """Run the kernel."""
    return paged_attention_native(
        kernels,
        case.q,
        case.keys,
        case.values,
        block_tables=case.block_tables,
        lengths=case.lengths,
        scale=case.scale,
    )


def exact(case: Case) -> Tensor:
    """Compute the same with torch's own attention, in double precision."""
    out = []
    for q, table, length in zip(case.q, case.block_tables, case.lengths.tolist(), strict=True):
        blocks = table[: -(-length // case.keys.shape[1])].long()
        k = case.keys[blocks].flatten(0, 1)[:length].double().transpose(0, 1)  # (G, S, K)
        v = case.values[blocks].flatten(0, 1)[:length].double().transpose(0, 1)  # (G, S, K)
        one = q.double().unsqueeze(1)  # (H, 1, K)
        attended = F.scaled_dot_product_attention(
            one[None], k[None], v[None], scale=case.scale, enable_gqa=True
        )
        out.append(attended[0, :, 0])
    return torch.stack(out)


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float32, FP32_ATOL), (torch.bfloat16, BF16_ATOL)]
)
def test_the_kernel_equals_attention_in_double_precision(
    kernels: Native,
    num_threads: int,
    heads: tuple[int, int, int, int],
    dtype: torch.dtype,
    atol: float,
) -> None:
    case = draw(heads, LENGTHS, dtype=dtype, seed=1)
    out = run_native(kernels, case)
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), exact(case), rtol=0, atol=atol)


@pytest.mark.parametrize("heads", HEADS)
def test_the_twin_equals_attention_in_double_precision(heads: tuple[int, int, int, int]) -> None:
    case = draw(heads, LENGTHS, dtype=torch.float32, seed=2)
    out = paged_attention_twin(
        case.q,
        case.keys,
        case.values,
        block_tables=case.block_tables,
        lengths=case.lengths,
        scale=case.scale,
    )
    torch.testing.assert_close(out.double(), exact(case), rtol=0, atol=FP32_ATOL)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_request_does_not_depend_on_its_neighbours(
    kernels: Native, num_threads: int, dtype: torch.dtype
) -> None:
    case = draw((2, 7, 64, 16), LENGTHS, dtype=dtype, seed=3)
    together = run_native(kernels, case)
    alone = torch.cat([run_native(kernels, case.rows(row)) for row in range(len(LENGTHS))])
    shuffled = run_native(kernels, case.rows(*reversed(range(len(LENGTHS)))))
    assert torch.equal(together, alone)
    assert torch.equal(together, shuffled.flip(0))


def test_the_number_of_threads_changes_nothing(kernels: Native) -> None:
    case = draw((2, 7, 64, 16), LENGTHS, dtype=torch.float32, seed=4)
    before = torch.get_num_threads()
    outs = []
    for count in (1, 2, 3, 4):
        torch.set_num_threads(count)
        outs.append(run_native(kernels, case))
    torch.set_num_threads(before)
    assert all(torch.equal(out, outs[0]) for out in outs)


def test_large_scores_do_not_overflow(kernels: Native) -> None:
    case = draw((1, 2, 64, 16), [300], dtype=torch.float32, seed=5)
    loud = Case(case.q * 100, case.keys, case.values, case.block_tables, case.lengths, case.scale)
    torch.testing.assert_close(run_native(kernels, loud).double(), exact(loud), rtol=0, atol=1e-3)


def test_a_poisoned_position_shows(kernels: Native) -> None:
    case = draw((1, 2, 64, 16), [40], dtype=torch.float32, seed=6)
    case.keys[case.block_tables[0, 1].long(), 3] = torch.nan
    assert run_native(kernels, case).isnan().all()


def test_no_past_gives_zeros(kernels: Native) -> None:
    case = draw((1, 2, 64, 16), [20, 20], dtype=torch.float32, seed=7)
    case.lengths[0] = 0
    out = run_native(kernels, case)
    assert (out[0] == 0).all()
    assert (out[1] != 0).all()


def call(case: Case) -> Tensor:
    """Call the public function."""
    return paged_attention(
        case.q,
        case.keys,
        case.values,
        block_tables=case.block_tables,
        lengths=case.lengths,
        scale=case.scale,
    )


@pytest.mark.parametrize(
    ("width", "dtype"), [(MAX_HEAD_WIDTH + 1, torch.float32), (64, torch.float64)]
)
def test_what_the_kernel_cannot_read_goes_to_the_twin(width: int, dtype: torch.dtype) -> None:
    case = draw((1, 1, width, 16), [20], dtype=dtype, seed=8)
    torch.testing.assert_close(call(case).double(), exact(case), rtol=0, atol=FP32_ATOL)


def test_strided_queries_are_read_rightly() -> None:
    case = draw((2, 2, 64, 16), [20, 30], dtype=torch.float32, seed=9)
    strided = torch.stack([case.q, case.q], dim=-1)[..., 0]
    other = Case(strided, case.keys, case.values, case.block_tables, case.lengths, case.scale)
    assert torch.equal(call(other), call(case))


def test_the_twin_runs_where_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myna.kernels.attention.native", lambda: None)
    case = draw((2, 2, 64, 16), [20, 30], dtype=torch.float32, seed=10)
    torch.testing.assert_close(call(case).double(), exact(case), rtol=0, atol=FP32_ATOL)


@pytest.mark.parametrize("heads", HEADS)
def test_all_requests_at_once_equal_one_after_another(heads: tuple[int, int, int, int]) -> None:
    case = draw(heads, [0, *LENGTHS], dtype=torch.float32, seed=3)
    tables = {"block_tables": case.block_tables, "lengths": case.lengths, "scale": case.scale}
    found = paged_attention_gathered(case.q, case.keys, case.values, **tables)
    expected = paged_attention_twin(case.q, case.keys, case.values, **tables)
    assert torch.allclose(found, expected, rtol=0, atol=FP32_ATOL)
