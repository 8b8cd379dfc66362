"""Choosing a family, and settling how a checkpoint is loaded."""

from types import SimpleNamespace

import pytest

from myna.core.errors import BadCheckpoint, Unsupported
from myna.models.registry import (
    FAMILIES,
    blueprint_for_folder,
    blueprint_for_gguf,
    family_for_config,
    family_for_gguf,
)
from myna.models.tiny import tiny_config

GGUF = {
    "general.architecture": "qwen2",
    "qwen2.block_count": 2,
    "qwen2.context_length": 256,
    "qwen2.embedding_length": 32,
    "qwen2.feed_forward_length": 64,
    "qwen2.attention.head_count": 4,
    "qwen2.attention.head_count_kv": 2,
    "qwen2.attention.layer_norm_rms_epsilon": 1e-6,
}


@pytest.mark.parametrize(
    ("model_type", "name"),
    [("qwen2", "qwen2"), ("llama", "llama"), ("qwen3", "qwen3"), ("qwen3_moe", "qwen3")],
)
def test_the_model_type_chooses_the_family(model_type: str, name: str) -> None:
    assert family_for_config({"model_type": model_type}).name == name


@pytest.mark.parametrize(
    ("architecture", "name"),
    [("qwen2", "qwen2"), ("llama", "llama"), ("qwen3", "qwen3"), ("qwen3moe", "qwen3")],
)
def test_the_architecture_chooses_the_family(architecture: str, name: str) -> None:
    assert family_for_gguf({"general.architecture": architecture}).name == name


def test_an_unknown_family_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        Unsupported, match=r"`model_type` is 'mamba'.*known are llama, qwen2, qwen3"
    ):
        family_for_config({"model_type": "mamba"})
    with pytest.raises(Unsupported, match=r"`general\.architecture` is 'rwkv'.*qwen3moe"):
        family_for_gguf({"general.architecture": "rwkv"})


@pytest.mark.parametrize("found", [None, 3, ["qwen2"], {}])
def test_what_names_no_family_is_refused(found: object) -> None:
    with pytest.raises(BadCheckpoint, match="but the name of a model family is expected"):
        family_for_config({"model_type": found})
    with pytest.raises(BadCheckpoint, match="but the name of a model family is expected"):
        family_for_gguf({"general.architecture": found})


def test_no_two_families_claim_the_same_name() -> None:
    claims = [kind for family in FAMILIES for kind in family.model_types]
    assert len(claims) == len(set(claims))


@pytest.mark.parametrize(("stored", "has_head"), [(["lm_head.weight"], True), ([], False)])
def test_the_files_decide_whether_there_is_a_head(stored: list[str], *, has_head: bool) -> None:
    blueprint = blueprint_for_folder(tiny_config("llama"), stored)
    assert (blueprint.build().lm_head is not None) is has_head


@pytest.mark.parametrize("has_head", [True, False])
def test_the_gguf_tensors_decide_whether_there_is_a_head(*, has_head: bool) -> None:
    tensors = {"token_embd.weight": SimpleNamespace(shape=(96, 32))}
    if has_head:
        tensors["output.weight"] = SimpleNamespace(shape=(96, 32))
    blueprint = blueprint_for_gguf(GGUF, SimpleNamespace(tensors=tensors))
    assert (blueprint.build().lm_head is not None) is has_head
