"""GatedMlp: which half is the gate."""

import torch
from torch.nn import functional

from myna.kernels.packed import dequantize
from myna.layers.mlp import GatedMlp
from tiled import draw_packed

# Activations and hidden values are both rounded to 8 bits, of which each is off by up to 0.4 %.
ROUNDED_SHARE = 2e-2


def test_the_first_half_is_the_gate() -> None:
    mlp = GatedMlp(8, 12, bias=True)
    for parameter in mlp.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(3, 8)
    gate = functional.linear(x, mlp.gate_up_proj.weight[:12], mlp.gate_up_proj.bias[:12])
    up = functional.linear(x, mlp.gate_up_proj.weight[12:], mlp.gate_up_proj.bias[12:])
    expected = mlp.down_proj(gate * gate.sigmoid() * up)
    torch.testing.assert_close(mlp(x), expected)


def test_biases_are_there_only_when_asked_for() -> None:
    assert {name for name, _ in GatedMlp(8, 12).named_parameters()} == {
        "gate_up_proj.weight",
        "down_proj.weight",
    }


def test_packed_matrices_say_what_their_floats_say() -> None:
    plain, fused = GatedMlp(64, 96), GatedMlp(64, 96)
    for name, rows, columns in (("gate_up_proj", 192, 64), ("down_proj", 64, 96)):
        weight = draw_packed("Q4_0_R16", rows, columns)
        getattr(fused, name).set_packed("weight", weight)
        getattr(plain, name).weight.copy_(dequantize(weight, torch.float32))
    x = torch.randn(3, 64)
    wanted = plain(x)
    assert (fused(x) - wanted).norm() < ROUNDED_SHARE * wanted.norm()
