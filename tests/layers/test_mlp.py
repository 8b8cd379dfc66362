"""GatedMlp: which half is the gate."""

import torch
from torch.nn import functional

from myna.layers.mlp import GatedMlp


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
