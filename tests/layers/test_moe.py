"""Mixture of experts against a loop over tokens."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from myna.kernels.packed import PackedWeight, dequantize
from myna.layers.moe import Experts, SparseMoe, grouped


def moe_of(*, renormalise: bool, num_experts: int = 6, num_chosen: int = 2) -> SparseMoe:
    moe = SparseMoe(16, 8, num_experts=num_experts, num_chosen=num_chosen, renormalise=renormalise)
    generator = torch.manual_seed(0)
    for parameter in moe.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    return moe


def one_token(moe: SparseMoe, x: Tensor, *, renormalise: bool) -> Tensor:
    probabilities = functional.softmax(moe.gate.weight @ x, dim=0)
    chosen = probabilities.argsort(descending=True)[: moe.num_chosen].tolist()
    total = sum(float(probabilities[e]) for e in chosen) if renormalise else 1.0
    out = torch.zeros_like(x)
    for expert in chosen:
        gate, up = (moe.experts.gate_up_proj[expert] @ x).chunk(2)
        y = moe.experts.down_proj[expert] @ (functional.silu(gate) * up)
        out += y * probabilities[expert] / total
    return out


@pytest.mark.parametrize(("num_experts", "num_chosen"), [(6, 2), (1, 1)])
@pytest.mark.parametrize("renormalise", [True, False])
def test_every_token_gets_its_own_experts(
    renormalise: bool, num_experts: int, num_chosen: int
) -> None:
    moe = moe_of(renormalise=renormalise, num_experts=num_experts, num_chosen=num_chosen)
    x = torch.randn(9, 16, generator=torch.manual_seed(1))
    expected = torch.stack([one_token(moe, row, renormalise=renormalise) for row in x])
    torch.testing.assert_close(moe(x), expected)


def test_experts_that_nobody_chose_are_not_run() -> None:
    experts = Experts(3, 4, 4)
    torch.nn.init.ones_(experts.gate_up_proj)
    torch.nn.init.ones_(experts.down_proj)
    experts.down_proj[2] = float("nan")
    out = experts(torch.ones(2, 4), torch.tensor([[0], [1]]), torch.ones(2, 1))
    assert out.isfinite().all()


def test_packed_experts_equal_their_float_twins() -> None:
    def pack(rows: int, seed: int) -> PackedWeight:
        shape = (3, rows, 34)
        data = torch.randint(0, 60, shape, dtype=torch.uint8, generator=torch.manual_seed(seed))
        data[..., 1] = 0x2C  # the exponent of the scale, so that it is a small number
        return PackedWeight("Q8_0", data, None, (3, rows, 32))

    gate_up, down = pack(64, 0), pack(32, 1)
    kept, written = Experts(3, 32, 32), Experts(3, 32, 32)
    kept.set_packed("gate_up_proj", gate_up)
    kept.set_packed("down_proj", down)
    written.gate_up_proj.copy_(dequantize(gate_up, torch.float32))
    written.down_proj.copy_(dequantize(down, torch.float32))
    x = torch.randn(5, 32, generator=torch.manual_seed(2)) / 8
    chosen = torch.tensor([[0, 1], [1, 2], [2, 0], [0, 1], [1, 0]])
    shares = torch.rand(5, 2, generator=torch.manual_seed(3))
    torch.testing.assert_close(kept(x, chosen, shares), written(x, chosen, shares))


@pytest.mark.parametrize("num_tokens", [1, 9, 40])
def test_experts_as_two_products_equal_one_after_another(num_tokens: int) -> None:
    generator = torch.manual_seed(2)
    experts = Experts(6, 16, 8)
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    x = torch.randn(num_tokens, 16, generator=generator)
    shares, chosen = torch.rand(num_tokens, 6, generator=generator).topk(2)
    chosen[chosen == 4] = 3  # one that nobody chose
    found = grouped(x, chosen, shares, gate_up=experts.gate_up_proj, down=experts.down_proj)
    torch.testing.assert_close(found, experts(x, chosen, shares))
