"""The check of both sides: what fills each parameter, and where each tensor goes."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from myna.core.errors import BadCheckpoint
from myna.kernels.packed import Weight, permute_rows
from myna.weights.checkpoint import MetaCheckpoint
from myna.weights.plan import make_plan
from myna.weights.rules import Fold, Fuse, Ignore, Rule, Stack

Layout = dict[str, tuple[str, tuple[int, ...]]]


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate_up = nn.Parameter(torch.empty(2, 6, 4))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qk = nn.Linear(4, 6)
        self.experts = Experts()
        self.norm = nn.Linear(4, 1, bias=False)
        self.register_buffer("table", torch.empty(3))
        self.register_buffer("scratch", torch.empty(3), persistent=False)


RULES: tuple[Rule, ...] = (
    Ignore("*.inv_freq", "computed"),
    Fuse("attn", ("q", "k"), into="qk"),
    Stack("layer.experts.{e}", ("gate", "up"), into="experts.gate_up"),
)


def network() -> Network:
    with torch.device("meta"):
        net = Network()
    net.attn = nn.Module()
    net.attn.qk = net.qk
    del net.qk
    net.layer = nn.Module()
    net.layer.experts = net.experts
    del net.experts
    return net


def layout() -> Layout:
    experts = {
        f"layer.experts.{expert}.{part}.weight": ("BF16", (3, 4))
        for expert in range(2)
        for part in ("gate", "up")
    }
    return {
        "attn.q.weight": ("BF16", (4, 4)),
        "attn.k.weight": ("BF16", (2, 4)),
        "attn.q.bias": ("BF16", (4,)),
        "attn.k.bias": ("BF16", (2,)),
        "norm.weight": ("F32", (1, 4)),
        "table": ("F32", (3,)),
        "rope.inv_freq": ("F32", (2,)),
        **experts,
    }


def planning_fails(changed: Layout, message: str, rules: tuple[Rule, ...] = RULES) -> None:
    with pytest.raises(BadCheckpoint, match=re.escape(message)):
        make_plan(network(), MetaCheckpoint(changed), rules)


def test_a_plan_covers_every_parameter_and_every_tensor() -> None:
    checkpoint = MetaCheckpoint(layout())
    plan = make_plan(network(), checkpoint, RULES)
    filled = {"attn.qk.weight", "attn.qk.bias", "norm.weight", "table", "layer.experts.gate_up"}
    assert set(plan.assemblies) == filled
    assert set(plan.places) | set(plan.ignored) == set(checkpoint.tensors)
    assert plan.ignored == {"rope.inv_freq": "computed"}


def test_a_report_counts_what_is_used() -> None:
    checkpoint = MetaCheckpoint(layout(), name="released")
    report = make_plan(network(), checkpoint, RULES).report(checkpoint)
    assert report.checkpoint == "released"
    assert report.num_tensors == 10
    assert report.num_parameters == 24 + 6 + 4 + 3 + 48
    assert report.num_bytes == 2 * (24 + 6 + 48) + 4 * (4 + 3)
    assert report.dtypes == {"BF16": 8, "F32": 2}


def test_an_empty_parameter_is_named() -> None:
    changed = layout()
    del changed["norm.weight"]
    planning_fails(
        changed, "layout does not fit the model: 1 parameters of the model have no tensor: "
    )
    planning_fails(changed, "have no tensor: 'norm.weight'. hint: a file is damaged or missing")


def test_a_tensor_without_a_place_is_named() -> None:
    changed = layout() | {"extra": ("F32", (1,)), "scratch": ("F32", (3,))}
    planning_fails(changed, "2 tensors have no place in the model: 'extra', 'scratch'")


def test_all_faults_are_told_at_once() -> None:
    changed = layout() | {f"extra.{number}": ("F32", (1,)) for number in range(9)}
    del changed["table"], changed["attn.k.weight"]
    changed["norm.weight"] = ("F32", (2, 4))
    planning_fails(
        changed,
        "1 parameters of the model have no tensor: 'table'. "
        "9 tensors have no place in the model: 'extra.0', 'extra.1', 'extra.2', 'extra.3', …. "
        "1 parameters lack pieces: 'attn.qk.weight' lacks 'k'. "
        "1 parameters have another shape: 'norm.weight' is (1, 4) in the model, (2, 4) in the file",
    )


def test_a_missing_expert_is_named() -> None:
    changed = layout()
    del changed["layer.experts.0.up.weight"]
    planning_fails(changed, "'layer.experts.gate_up' lacks 'expert 0: up'")


def test_a_missing_last_expert_shows_in_the_shape() -> None:
    changed = {name: info for name, info in layout().items() if "experts.1" not in name}
    planning_fails(changed, "'layer.experts.gate_up' is (2, 6, 4) in the model, (1, 6, 4) in the")


def test_an_absurd_expert_number_ends_soon() -> None:
    changed = layout() | {"layer.experts.999999999.up.weight": ("BF16", (3, 4))}
    planning_fails(
        changed, "lacks 'expert 2: gate', 'expert 2: up', 'expert 3: gate', 'expert 3: up'"
    )


def test_two_tensors_for_one_place_are_named() -> None:
    rules = (*RULES, Fold("norm.old", lambda weight: weight, into="norm.weight"))
    changed = layout() | {"norm.old": ("F32", (1, 4))}
    planning_fails(changed, "1 tensors want a place that is taken: 'norm.old'", rules)
    changed = layout() | {"attn.qk.weight": ("BF16", (6, 4))}
    planning_fails(changed, "1 tensors want a place that is taken: 'attn.qk.weight'")


@pytest.mark.parametrize(
    ("name", "shape", "found"),
    [
        ("attn.k.weight", (3, 4), "(7, 4)"),
        ("attn.k.weight", (2, 5), "of pieces (4, 4) and (2, 5)"),
        ("attn.k.weight", (2,), "of pieces (4, 4) and (2,)"),
        ("attn.k.bias", (), "of pieces without rows"),
        ("layer.experts.1.up.weight", (4, 4), "of pieces (4, 4) and (3, 4)"),
    ],
)
def test_pieces_that_do_not_fit_together_are_told(
    name: str, shape: tuple[int, ...], found: str
) -> None:
    planning_fails(layout() | {name: ("BF16", shape)}, f"in the model, {found} in the file")


def reverse_pairs(weight: Weight) -> Weight:
    order = torch.arange(weight.shape[0]).view(-1, 2).flip(1).flatten()
    return permute_rows(weight, order)


def as_column(weight: Weight) -> Weight:
    assert isinstance(weight, torch.Tensor)
    return weight.view(4, 1).transpose(0, 1)


def test_functions_are_followed_by_their_shapes() -> None:
    rules = (
        *RULES[:1],
        Fold("attn.q.weight", reverse_pairs, into="attn.q.weight"),
        Fold("norm.vector", as_column, into="norm.weight"),
        *RULES[1:],
    )
    changed = layout() | {"norm.vector": ("F32", (4,))}
    del changed["norm.weight"]
    plan = make_plan(network(), MetaCheckpoint(changed), rules)
    assert plan.shapes["norm.vector"] == (1, 4)
    assert plan.shapes["attn.q.weight"] == (4, 4)


def test_a_shape_that_a_function_cannot_take_is_told() -> None:
    rules = (Fold("attn.q.weight", reverse_pairs, into="attn.q.weight"), *RULES)
    changed = layout() | {"attn.q.weight": ("BF16", (3, 4))}
    planning_fails(
        changed, "'attn.qk.weight' is (6, 4) in the model, made of 'attn.q.weight', wh", rules
    )


def test_a_shape_that_no_machine_holds_is_told() -> None:
    rules = (Fold("attn.q.weight", reverse_pairs, into="attn.q.weight"), *RULES)
    changed = layout() | {"attn.q.weight": ("BF16", (1 << 40, 1 << 40))}
    planning_fails(
        changed, "in the model, made of 'attn.q.weight', whose shape its rule cannot", rules
    )


def test_a_shared_parameter_is_filled_by_either_name() -> None:
    net = network()
    net.head = nn.Linear(4, 1, bias=False, device="meta")
    net.head.weight = net.norm.weight
    plan = make_plan(net, MetaCheckpoint(layout()), RULES)
    assert plan.tied == {"head.weight": "norm.weight"}
    untied = make_plan(net, MetaCheckpoint(layout() | {"head.weight": ("F32", (1, 4))}), RULES)
    assert untied.tied == {}
