"""Blueprints: networks without memory, and the context chosen for one load."""

import pytest

from myna.models.registry import blueprint_for_folder
from myna.models.tiny import TINY_CONFIGS, tiny_config


@pytest.mark.parametrize("model_type", TINY_CONFIGS)
def test_a_network_is_built_without_memory(model_type: str) -> None:
    network = blueprint_for_folder(tiny_config(model_type), []).build()
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}


@pytest.mark.parametrize("model_type", TINY_CONFIGS)
def test_its_parameters_are_as_many_as_its_costs_say(model_type: str) -> None:
    blueprint = blueprint_for_folder(tiny_config(model_type), [])
    found = sum(parameter.numel() for parameter in blueprint.build().parameters())
    assert found == blueprint.costs().parameters


def test_yarn_is_chosen_for_one_load() -> None:
    blueprint = blueprint_for_folder(tiny_config("qwen2"), [])
    stretched = blueprint.with_yarn(factor=4.0)
    assert stretched.config.context_length == 4 * blueprint.config.context_length
    plain, scaled = (b.build().rope_table.frequencies for b in (blueprint, stretched))
    assert not plain.equal(scaled)
