"""Shapes of random GGUF files follow from the released configurations."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from types import ModuleType

import pytest

from myna.core.errors import Unsupported


@pytest.mark.parametrize("name", ["qwq-32b", "qwen3-30b-a3b", "qwen2.5-0.5b-instruct"])
def test_a_file_holds_as_many_numbers_as_the_model(
    script: Callable[[str], ModuleType], released: ModuleType, name: str
) -> None:
    random_gguf, network = script("random_gguf"), released.released(name).networks[""]
    shape = random_gguf.shape_of(name)
    listed = dict(random_gguf.tensors(shape, shape.num_layers))
    assert sum(map(prod, listed.values())) == sum(map(prod, network.tensors.values()))


@pytest.mark.parametrize(
    ("name", "kind"), [("smollm2-135m", "llama"), ("qwen-image-edit-2509", "image_edit")]
)
def test_other_models_are_refused(
    script: Callable[[str], ModuleType], name: str, kind: str
) -> None:
    with pytest.raises(Unsupported, match=f"{name}: .*{kind}.*; qwen2 and qwen3_moe can be"):
        script("random_gguf").shape_of(name)
