"""Every model of the catalogue is known as it was released, or refused on purpose."""

from __future__ import annotations

from math import prod
from types import ModuleType

import pytest

from myna.core.errors import InvalidRequest, Unsupported
from myna.hub.catalogue import catalogue
from myna.models.qwen3_omni.family import OmniConfig, thinker
from myna.models.registry import blueprint_for_folder, family_for_config
from myna.weights.checkpoint import MetaCheckpoint
from myna.weights.load import check_layout

EDIT = "qwen-image-edit-2509"
REFUSED = ("lightning", "qwen2.5-omni-7b", "qwen2.5-omni-3b")
KNOWN = tuple(name for name in catalogue() if name not in REFUSED)
WRITING = tuple(name for name in KNOWN if name != EDIT)
SIZE_REL = 2e-3  # the catalogue rounds sizes, and some are of files, headers included


def test_each_entry_of_the_catalogue_is_known_or_refused(released: ModuleType) -> None:
    assert sorted((*released.KNOWN, *released.REFUSED)) == sorted(catalogue())
    assert set(released.REFUSED) == set(REFUSED)


@pytest.mark.parametrize("name", KNOWN)
def test_the_tensors_are_as_large_as_released(released: ModuleType, name: str) -> None:
    networks = released.released(name).networks.values()
    count = sum(prod(shape) for network in networks for shape in network.tensors.values())
    assert 2 * count == pytest.approx(catalogue()[name].bf16_bytes, rel=SIZE_REL)


@pytest.mark.parametrize("name", WRITING)
def test_keys_and_values_are_as_large_as_released(released: ModuleType, name: str) -> None:
    values = released.released(name).networks[""].values
    costs = blueprint_for_folder(values, ["lm_head.weight"]).costs()
    assert costs.kv_bytes(2) == catalogue()[name].kv_bytes_per_token


@pytest.mark.parametrize("name", WRITING)
def test_each_tensor_of_the_first_layers_has_its_place(released: ModuleType, name: str) -> None:
    model = released.released(name, num_layers=2)
    layout = {key: ("BF16", shape) for key, shape in model.networks[""].tensors.items()}
    blueprint = blueprint_for_folder(model.networks[""].values, layout)
    assert blueprint.config.num_layers == model.num_layers == 2
    is_omni = isinstance(blueprint.config, OmniConfig)
    network = thinker(blueprint.config) if is_omni else blueprint.build()
    report = check_layout(network, MetaCheckpoint(layout), blueprint.rules)
    assert report.num_tensors + len(report.ignored) == len(layout)


@pytest.mark.parametrize("part", ["text_encoder", "transformer", "vae"])
def test_the_tensors_of_the_editing_model_are_the_released_ones(
    released: ModuleType, part: str
) -> None:
    listed = released.released(EDIT).networks[part].tensors
    layout = MetaCheckpoint.from_file(released.LAYOUTS / f"{EDIT}.{part}.tensors.json.gz")
    assert listed == {name: info.shape for name, info in layout.tensors.items()}
    assert {info.dtype for info in layout.tensors.values()} == {"BF16"}


def test_fewer_layers_are_told(released: ModuleType) -> None:
    assert released.released("qwq-32b").title == "qwq-32b"
    model = released.released("qwq-32b", num_layers=3)
    assert model.title == "qwq-32b, 3 of 64 layers, the others left out"
    assert released.released("qwq-32b", num_layers=99).title == "qwq-32b"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_run_is_refused_with_what_can(released: ModuleType, name: str) -> None:
    with pytest.raises(Unsupported, match=r"(is a LoRA|cannot run).*\nhint: known are deepseek-r1"):
        released.released(name)


def test_the_older_omni_models_are_refused_for_as_long_as_no_family_reads_them() -> None:
    with pytest.raises(Unsupported, match="qwen2_5_omni"):
        family_for_config({"model_type": "qwen2_5_omni"})


def test_an_entry_without_a_configuration_is_told_where_to_add_it(
    released: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(released, "KNOWN", ("qwq-32b",))
    with pytest.raises(Unsupported, match=r"smollm2-135m has no row in benchmarks/released\.py"):
        released.released("smollm2-135m")


def test_no_layers_are_refused(released: ModuleType) -> None:
    with pytest.raises(InvalidRequest, match="0 layers were asked for; take 1 or more"):
        released.released("qwq-32b", num_layers=0)
