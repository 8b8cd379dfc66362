"""The walk of one name through a table of rules."""

from __future__ import annotations

import pytest

from myna.kernels.packed import Weight
from myna.weights.rules import Fold, Fuse, Ignore, Place, Rename, Rule, Stack, place

QKV = ("q_proj", "k_proj", "v_proj")
FUSE = Fuse("layers.{i}.self_attn", QKV, into="qkv_proj")
GATE_UP = ("gate_proj", "up_proj")
STACK = Stack("layers.{i}.mlp.experts.{e}", GATE_UP, into="experts.gate_up_proj")


def flip(weight: Weight) -> Weight:
    return weight


def turn(weight: Weight) -> Weight:
    return weight


def test_a_name_that_nothing_matches_is_its_own_place() -> None:
    assert place("norm.weight", (FUSE, STACK)) == Place("norm.weight")
    assert place("norm.weight", ()) == Place("norm.weight")


@pytest.mark.parametrize(
    ("rule", "name", "expected"),
    [
        (Rename("thinker.model.*", "*"), "thinker.model.norm.weight", "norm.weight"),
        (Rename("thinker.model.*", "*"), "thinker.modelx.norm", "thinker.modelx.norm"),
        (Rename("a.*", "*"), "x.a.b", "x.a.b"),
        (Rename("blk.{i}.ffn.*", "layers.{i}.mlp.*"), "blk.12.ffn.w", "layers.12.mlp.w"),
        (Rename("blk.{i}.*", "layers.{i}.*"), "blk.x.w", "blk.x.w"),
        (Rename("blk.{i}.*", "layers.{i}.*"), "blk.07.w", "blk.07.w"),
        (Rename("{a}.{b}", "{b}.{a}"), "1.2", "2.1"),
        (Rename("{a}.{a}", "{a}"), "3.3", "3"),
        (Rename("{a}.{a}", "{a}"), "3.4", "3.4"),
        (Rename("*.x.*", "*-*"), "a.x.b", "a-b"),
        (Rename("a.b", "c"), "axb", "axb"),
    ],
)
def test_a_rename_matches_whole_names(rule: Rule, name: str, expected: str) -> None:
    assert place(name, (rule,)).name == expected  # type: ignore[union-attr]


def test_each_rule_sees_the_name_as_the_rules_above_left_it() -> None:
    rules = (Rename("a.*", "b.*"), Rename("b.*", "c.*"), Rename("a.*", "d.*"))
    assert place("a.x", rules) == Place("c.x")


def test_a_fuse_places_each_part_in_order() -> None:
    found = place("layers.3.self_attn.k_proj.weight", (FUSE,))
    assert found == Place("layers.3.self_attn.qkv_proj.weight", part=1, parts=QKV)
    found = place("layers.3.self_attn.v_proj.bias", (FUSE,))
    assert found == Place("layers.3.self_attn.qkv_proj.bias", part=2, parts=QKV)


def test_a_fuse_takes_names_without_a_suffix_but_no_longer_words() -> None:
    assert place("layers.3.self_attn.q_proj", (FUSE,)).name == "layers.3.self_attn.qkv_proj"  # type: ignore[union-attr]
    other = "layers.3.self_attn.q_projection.weight"
    assert place(other, (FUSE,)) == Place(other)


def test_a_stack_places_each_expert() -> None:
    found = place("layers.3.mlp.experts.17.up_proj.weight", (STACK,))
    assert found == Place("layers.3.mlp.experts.gate_up_proj", part=1, parts=GATE_UP, expert=17)


def test_a_list_of_experts_may_stand_at_the_top() -> None:
    rule = Stack("experts.{e}", ("down",), into="experts.down")
    found = place("experts.2.down", (rule,))
    assert found == Place("experts.down", parts=("down",), expert=2)


def test_what_is_ignored_says_why() -> None:
    rule = Ignore("*.inv_freq", "computed")
    assert place("layers.0.rope.inv_freq", (rule,)) is rule
    assert place("layers.0.rope.weight", (rule,)) == Place("layers.0.rope.weight")


def test_folds_gather_their_functions_in_order_on_the_way_to_a_place() -> None:
    rules = (
        Fold("blk.{i}.q.*", flip, into="layers.{i}.self_attn.q_proj.*"),
        Fold("layers.{i}.self_attn.q_proj.weight", turn, into="layers.{i}.self_attn.q_proj.weight"),
        FUSE,
    )
    assert place("blk.4.q.weight", rules) == Place(
        "layers.4.self_attn.qkv_proj.weight", (flip, turn), part=0, parts=QKV
    )
    assert place("blk.4.q.bias", rules).functions == (flip,)  # type: ignore[union-attr]
