"""RmsNorm: where it rounds, and that eps and weight are read."""

import torch
from torch import Tensor

from myna.layers.norm import RmsNorm


def norm_of(width: int, *, eps: float = 1e-6) -> RmsNorm:
    norm = RmsNorm(width, eps=eps)
    torch.nn.init.uniform_(norm.weight, 0.5, 1.5, generator=torch.manual_seed(0))
    return norm


def reference(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return weight * wide.to(x.dtype)


def test_float32_equals_the_formula() -> None:
    norm, x = norm_of(48), torch.randn(5, 48, generator=torch.manual_seed(1))
    assert torch.equal(norm(x), reference(x, norm.weight, 1e-6))


def test_bfloat16_is_rounded_before_the_weight_multiplies() -> None:
    norm = norm_of(48).bfloat16()
    x = torch.randn(200, 48, generator=torch.manual_seed(1)).bfloat16()
    assert torch.equal(norm(x), reference(x, norm.weight, 1e-6))


def test_eps_is_added_to_the_mean_square() -> None:
    norm = norm_of(4, eps=3.0)
    torch.nn.init.ones_(norm.weight)
    assert torch.equal(norm(torch.ones(1, 4)), torch.full((1, 4), 0.5))


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    norm, x = norm_of(96), torch.randn(33, 96, generator=torch.manual_seed(1))
    assert torch.equal(norm(x)[7:8], norm(x[7:8]))
