"""Attention over caches against its twin and against torch's own attention in double precision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from myna.kernels import attention
from myna.kernels.attention import (
    MAX_HEAD_WIDTH,
    paged_attention,
    paged_attention_gathered,
    paged_attention_native,
    paged_attention_twin,
    prompt_attention,
    prompt_attention_native,
)
from myna.kernels.cached import heads_of, pack_heads
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


@pytest.mark.parametrize("heads", [(2, 7, 64, 16), (2, 4, 128, 32), (3, 2, 96, 16), (1, 3, 32, 4)])
@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float32, FP32_ATOL), (torch.bfloat16, BF16_ATOL)]
)
def test_a_packed_cache_is_read_as_the_numbers_that_it_spells(
    kernels: Native,
    num_threads: int,
    heads: tuple[int, int, int, int],
    dtype: torch.dtype,
    atol: float,
) -> None:
    drawn = draw(heads, LENGTHS, dtype=dtype, seed=11)
    keys, values = pack_heads(drawn.keys), pack_heads(drawn.values)
    packed = replace(drawn, keys=keys, values=values)
    spelt = replace(
        drawn, keys=heads_of(keys, torch.float32), values=heads_of(values, torch.float32)
    )
    wanted = exact(spelt)
    out = run_native(kernels, packed)
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), wanted, rtol=0, atol=atol)
    tables = {"block_tables": packed.block_tables, "lengths": packed.lengths, "scale": packed.scale}
    for other in (paged_attention_twin, paged_attention_gathered):
        found = other(packed.q, packed.keys, packed.values, **tables)
        torch.testing.assert_close(found.double(), wanted, rtol=0, atol=2 * atol)


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


# Query heads, key heads, width; new tokens, positions.
PROMPTS = [(6, 2, 16, 18, 18), (4, 1, 48, 9, 40), (7, 1, 64, 70, 301), (2, 2, 128, 33, 600)]
# Shares are rounded to bfloat16, of which half the mantissa's last place is 0.2 %, and so is the
# result.
PROMPT_SHARE = 4e-3


def draw_prompt(
    num_heads: int, num_kv: int, width: int, num_new: int, length: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw queries, keys and values; slots after the last are NaN."""
    generator = torch.Generator().manual_seed(length)
    q = torch.randn(num_new, num_heads, width, generator=generator) * 2
    keys, values = torch.full((2, length + 40, num_kv, width), torch.nan)
    for store in (keys, values):
        store[:length] = torch.randn(length, num_kv, width, generator=generator)
    return q.bfloat16(), keys.bfloat16(), values.bfloat16()


def exact_prompt(q: Tensor, keys: Tensor, values: Tensor, length: int) -> Tensor:
    """Compute the same with torch's own attention, in double precision."""
    mask = torch.ones(len(q), length, dtype=torch.bool).tril(length - len(q))
    heads = (x.double().transpose(0, 1)[None] for x in (q, keys[:length], values[:length]))
    out = F.scaled_dot_product_attention(*heads, attn_mask=mask, enable_gqa=True)
    return out[0].transpose(0, 1)


@pytest.mark.parametrize("sizes", PROMPTS)
def test_a_prompt_attends_as_in_double_precision(
    kernels: Native, num_threads: int, sizes: tuple[int, int, int, int, int]
) -> None:
    q, keys, values = draw_prompt(*sizes)
    length, scale = sizes[4], sizes[2] ** -0.5
    out = prompt_attention_native(kernels, q, keys, values, past=slice(0, length), scale=scale)
    wanted = exact_prompt(q, keys, values, length)
    assert (out.double() - wanted).norm() < PROMPT_SHARE * wanted.norm()


def test_a_token_depends_neither_on_its_chunk_nor_on_where_its_past_lies(kernels: Native) -> None:
    q, keys, values = draw_prompt(7, 1, 64, 290, 600)
    whole = prompt_attention_native(kernels, q, keys, values, past=slice(0, 600), scale=0.125)
    order = torch.randperm(600, generator=torch.Generator().manual_seed(1))
    spread = [x.clone() for x in (keys, values)]
    for store, moved in zip((keys, values), spread, strict=True):
        moved[order] = store[:600]
    cuts = (0, 3, 4, 130, 290)
    parts = [
        prompt_attention_native(kernels, q[a:b], *spread, past=order[: 310 + b], scale=0.125)
        for a, b in pairwise(cuts)
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_large_scores_of_prompts_do_not_overflow_and_poison_shows(kernels: Native) -> None:
    q, keys, values = draw_prompt(2, 1, 64, 20, 300)
    loud = prompt_attention_native(kernels, q * 100, keys, values, past=slice(0, 300), scale=0.125)
    wanted = exact_prompt(q * 100, keys, values, 300)
    assert (loud.double() - wanted).norm() < PROMPT_SHARE * wanted.norm()
    keys[290] = torch.nan
    out = prompt_attention_native(kernels, q, keys, values, past=slice(0, 300), scale=0.125)
    assert out[:10].isfinite().all()
    assert out[10:].isnan().all()


def test_queries_may_be_part_of_a_wider_tensor(kernels: Native) -> None:
    q, keys, values = draw_prompt(6, 2, 16, 18, 18)
    wide = torch.cat((q, keys[:18]), 1)
    views = (wide[:, :6], wide.transpose(0, 1).contiguous().transpose(0, 1)[:, :6], q)
    outs = [
        prompt_attention_native(kernels, view, keys, values, past=slice(0, 18), scale=0.25)
        for view in views
    ]
    assert torch.equal(outs[0], outs[2])
    assert torch.equal(outs[1], outs[2])


def test_prompts_that_the_kernel_cannot_serve_are_left_to_torch(
    kernels: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "native", lambda: kernels)
    monkeypatch.setattr(attention, "PROMPT_LEVEL", kernels.name)
    monkeypatch.setattr(attention, "HAS_MATRIX_UNIT", False)
    q, keys, values = draw_prompt(4, 2, 16, 5, 5)
    how = {"past": slice(0, 5), "scale": 0.25}
    assert prompt_attention(q, keys, values, **how) is not None
    assert prompt_attention(q.float(), keys.float(), values.float(), **how) is None
    assert prompt_attention(q[..., :8], keys[..., :8], values[..., :8], **how) is None
    assert prompt_attention(q, keys[:, :, :], values.transpose(0, 1), **how) is None
    assert prompt_attention(q.clone().requires_grad_(), keys, values, **how) is None
    monkeypatch.setattr(attention, "HAS_MATRIX_UNIT", True)
    assert prompt_attention(q, keys, values, **how) is None
    monkeypatch.setattr(attention, "HAS_MATRIX_UNIT", False)
    monkeypatch.setattr(attention, "PROMPT_LEVEL", "another")
    assert prompt_attention(q, keys, values, **how) is None
    monkeypatch.setattr(attention, "native", lambda: None)
    assert prompt_attention(q, keys, values, **how) is None
