"""Gated networks in one call, against products one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from myna.kernels import experts, fused
from myna.kernels.experts import Networks, bind, feed_forward, gated, matrix
from myna.kernels.native import Native
from myna.kernels.packed import Weight, concat_rows, dequantize
from myna.kernels.tiles import ROW_KINDS
from tiled import draw_packed

WIDTH, HIDDEN, NUM_NETWORKS, NUM_CHOSEN = 64, 96, 5, 2
# Activations and hidden values are both rounded to 8 bits, of which each is off by up to 0.4 %.
ROUNDED_SHARE = 2e-2
SUM_RTOL = 1e-5
BF16_RTOL = 2**-7


@pytest.fixture(autouse=True)
def only_these_kernels(kernels: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run this file's tests once for each instruction set."""
    monkeypatch.setattr(experts, "native", lambda: kernels)
    monkeypatch.setattr(fused, "native", lambda: kernels)


def matrices(kind: str, *, is_split: bool = False) -> tuple[list[Weight], list[Weight]]:
    """Draw networks: gate above up, and down."""
    if kind == "F32":
        shapes = ((2 * HIDDEN, WIDTH), (WIDTH, HIDDEN))
        generator = torch.Generator().manual_seed(0)
        drawn = [
            [torch.randn(shape, generator=generator) / 8 for shape in shapes]
            for _ in range(NUM_NETWORKS)
        ]
        return [pair[0] for pair in drawn], [pair[1] for pair in drawn]
    upper = [
        concat_rows([draw_packed(kind, HIDDEN, WIDTH, seed=2 * i + part) for part in range(2)])
        if is_split
        else draw_packed(kind, 2 * HIDDEN, WIDTH, seed=i)
        for i in range(NUM_NETWORKS)
    ]
    return upper, [draw_packed(kind, WIDTH, HIDDEN, seed=100 + i) for i in range(NUM_NETWORKS)]


def bound(kind: str, dtype: torch.dtype, *, is_split: bool = False) -> Networks:
    found = bind(*matrices(kind, is_split=is_split), dtype)
    assert found is not None
    return found


def floats(weight: Weight) -> Tensor:
    return weight if isinstance(weight, Tensor) else dequantize(weight, torch.float32)


def draw(num_rows: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(num_rows, WIDTH, generator=generator).to(dtype)
    chosen = torch.rand(num_rows, NUM_NETWORKS, generator=generator).argsort(1)[:, :NUM_CHOSEN]
    return x, chosen, torch.rand(num_rows, NUM_CHOSEN, generator=generator).to(dtype)


def slow(kind: str, x: Tensor, chosen: Tensor, shares: Tensor, *, is_split: bool) -> Tensor:
    upper, lower = matrices(kind, is_split=is_split)
    out = torch.zeros(len(x), WIDTH)
    for row, (ids, weights) in enumerate(zip(chosen.tolist(), shares.tolist(), strict=True)):
        for network, share in zip(ids, weights, strict=True):
            gate, up = (floats(upper[network]) @ x[row].float()).chunk(2)
            out[row] += share * (floats(lower[network]) @ (F.silu(gate) * up))
    return out


@pytest.mark.parametrize("num_rows", [1, 3, 8, 40])
@pytest.mark.parametrize("num_threads", [1, 4], indirect=True)
@pytest.mark.parametrize("is_split", [False, True])
def test_tiled_networks_say_what_products_one_by_one_say(
    num_rows: int, num_threads: int, is_split: bool
) -> None:
    x, chosen, shares = draw(num_rows, torch.float32)
    networks = bound("Q4_0_R16", torch.float32, is_split=is_split)
    found = feed_forward(x, networks, chosen, shares)
    assert found is not None
    twin = slow("Q4_0_R16", x, chosen, shares, is_split=is_split)
    assert (found - twin).norm() < ROUNDED_SHARE * twin.norm()


@pytest.mark.parametrize(("kind", "share"), [("F32", SUM_RTOL), ("Q4_0", SUM_RTOL)])
def test_formats_that_multiply_floats_are_exact(kind: str, share: float) -> None:
    x, chosen, shares = draw(11, torch.float32)
    found = feed_forward(x, bound(kind, torch.float32), chosen, shares)
    assert found is not None
    twin = slow(kind, x, chosen, shares, is_split=False)
    assert (found - twin).abs().max() < share * twin.abs().max()


def test_bfloat16_is_read_and_rounded_once() -> None:
    x, chosen, shares = draw(9, torch.bfloat16)
    found = feed_forward(x, bound("F32", torch.bfloat16), chosen, shares)
    assert found is not None
    assert found.dtype is torch.bfloat16
    twin = slow("F32", x, chosen, shares.float(), is_split=False)
    assert (found.float() - twin).abs().max() < BF16_RTOL * twin.abs().max()


@pytest.mark.parametrize("kind", ["Q4_0_R16", "Q8_0_R16", "Q8_0"])
def test_a_row_does_not_depend_on_the_rows_beside_it(kind: str) -> None:
    x, chosen, shares = draw(21, torch.bfloat16)
    networks = bound(kind, torch.bfloat16)
    together = feed_forward(x, networks, chosen, shares)
    alone = [
        feed_forward(x[i : i + 1], networks, chosen[i : i + 1], shares[i : i + 1])
        for i in range(21)
    ]
    assert torch.equal(together, torch.cat(alone))


def test_what_the_kernel_cannot_serve_is_left_to_the_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = bound("Q4_0_R16", torch.float32)
    x, chosen, shares = draw(2, torch.float32)
    assert feed_forward(x[:0], networks, chosen[:0], shares[:0]) is None
    assert feed_forward(x.double(), networks, chosen, shares) is None
    assert feed_forward(x.clone().requires_grad_(), networks, chosen, shares) is None
    assert feed_forward(torch.cat((x, x), -1), networks, chosen, shares) is None
    monkeypatch.setattr(experts, "native", lambda: None)
    assert feed_forward(x, networks, chosen, shares) is None
    assert bind(*matrices("F32"), torch.float32) is None


def test_matrices_that_cannot_be_read_in_place_are_not_bound() -> None:
    plain = torch.ones(64, 64)
    assert matrix(plain, torch.float32) is not None
    assert matrix(plain.half(), torch.float32) is None
    assert matrix(plain.T[:, :32], torch.float32) is None
    assert matrix(plain[:, :24].contiguous(), torch.float32) is None
    assert matrix(concat_rows([draw_packed("Q4_0", 2, 32)] * 2), torch.float32) is None
    assert bind([plain.half()], [plain[:, :32].contiguous()], torch.float32) is None
    assert bind([plain[:48, :48]], [plain[:48, :24]], torch.float32) is None


@pytest.mark.parametrize("kind", list(ROW_KINDS))
@pytest.mark.parametrize("is_split", [False, True])
def test_one_network_says_what_its_products_say(kind: str, is_split: bool) -> None:
    upper, lower = (part[0] for part in matrices(kind, is_split=is_split))
    x = draw(21, torch.float32)[0].view(3, 7, WIDTH)
    found = gated(x, upper, lower)
    assert found is not None
    gate, up = (x @ floats(upper).T).chunk(2, -1)
    wanted = (F.silu(gate) * up) @ floats(lower).T
    assert found.shape == x.shape
    assert (found - wanted).norm() < ROUNDED_SHARE * wanted.norm()
    alone = torch.cat([gated(row[None], upper, lower) for row in x.flatten(0, 1)])
    assert torch.equal(alone.view(x.shape), found)


def test_one_network_is_left_to_its_products_where_these_are_faster() -> None:
    x = torch.randn(fused.MAX_ROWS + 1, WIDTH)
    upper, lower = (part[0] for part in matrices("Q4_0"))
    assert gated(x, upper, lower) is None
    assert gated(x[:1], upper, lower) is not None
    assert gated(x[:1], floats(upper), lower) is None
    assert gated(x[:1, :24], draw_packed("Q4_0", 48, 32), draw_packed("Q4_0", 24, 32)) is None
