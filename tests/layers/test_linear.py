"""Linear: float parameters, and blocks that stay packed."""

import torch
from torch.nn import functional

from myna.kernels.packed import PackedWeight, dequantize
from myna.layers.linear import Linear


def packed_matrix() -> PackedWeight:
    data = torch.randint(0, 100, (6, 68), dtype=torch.uint8, generator=torch.manual_seed(0))
    data[:, 1::34] = 0x2C  # the exponents of the scales, so that they are small numbers
    return PackedWeight("Q8_0", data, None, (6, 64))


def test_a_float_matrix_multiplies_and_the_bias_is_added() -> None:
    layer = Linear(5, 3, bias=True)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 5)
    assert torch.equal(layer(x), functional.linear(x, layer.weight, layer.bias))


def test_a_packed_matrix_takes_the_place_of_the_parameter() -> None:
    layer = Linear(64, 6)
    layer.set_packed("weight", packed_matrix())
    assert not list(layer.parameters())
    x = torch.randn(2, 64)
    twin = dequantize(packed_matrix(), torch.float32)
    torch.testing.assert_close(layer(x), functional.linear(x, twin))


def test_parameters_want_no_gradient() -> None:
    assert not any(parameter.requires_grad for parameter in Linear(5, 3, bias=True).parameters())
