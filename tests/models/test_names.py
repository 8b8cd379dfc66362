"""Names that all text families share: every released name finds its parameter."""

import pytest

from myna.models.registry import blueprint_for_folder
from myna.models.tiny import TINY_CONFIGS, tiny_config
from myna.weights.checkpoint import MetaCheckpoint
from myna.weights.load import check_layout


@pytest.mark.parametrize("model_type", TINY_CONFIGS)
@pytest.mark.parametrize("tied", [True, False])
def test_every_listed_tensor_has_a_place(model_type: str, *, tied: bool) -> None:
    config = tiny_config(model_type, tie_word_embeddings=tied)
    blueprint = blueprint_for_folder(config, [] if tied else ["lm_head.weight"])
    tensors = blueprint.family.tensors(blueprint.config)
    checkpoint = MetaCheckpoint({name: ("BF16", shape) for name, shape in tensors.items()})
    report = check_layout(blueprint.build(), checkpoint, blueprint.rules)
    assert report.num_tensors == len(tensors)
    assert ("lm_head.weight" in tensors) is not tied


def test_frequencies_that_old_exports_store_are_ignored_for_a_reason() -> None:
    blueprint = blueprint_for_folder(tiny_config("llama"), [])
    tensors = blueprint.family.tensors(blueprint.config)
    stored = {name: ("BF16", shape) for name, shape in tensors.items()}
    stored["model.layers.0.self_attn.rotary_emb.inv_freq"] = ("F32", (4,))
    report = check_layout(blueprint.build(), MetaCheckpoint(stored), blueprint.rules)
    assert dict(report.ignored) == {
        "model.layers.0.self_attn.rotary_emb.inv_freq": "computed from the configuration"
    }
