"""Random models are written in the form, and as large, as `myna quantize` would write them."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from myna.core.errors import InvalidRequest, Unavailable
from myna.core.progress import silent
from myna.hub.catalogue import catalogue
from myna.models.qwen_image_edit.config import TextEncoderConfig
from myna.models.registry import family_for_config
from myna.models.tiny import tiny_config
from myna.pipeline.edit_parts import read_rule, read_schedule
from myna.pipeline.load import LoadOptions, load_model
from myna.text import tokenizer_files
from myna.weights.open import open_checkpoint
from myna.weights.quantize.folder import quantize_folder
from myna.weights.quantize.scheme import Recipe

EDIT = "qwen-image-edit-2509"
REFUSED = ("lightning", "qwen2.5-omni-7b", "qwen2.5-omni-3b")
KNOWN = tuple(name for name in catalogue() if name not in REFUSED)
RECIPE = Recipe(bits=4)
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def writer(script: Callable[[str], ModuleType]) -> ModuleType:
    """Import what writes."""
    return script("random_model")


@pytest.fixture
def tiny(released: ModuleType) -> object:
    """Describe a text model of a few kilobytes."""
    values = tiny_config("qwen3_moe")
    family = family_for_config(values)
    network = released.Network(values=values, tensors=family.tensors(family.config_from_hf(values)))
    return released.Released(
        id="tiny", kind="text", networks={"": network}, num_layers=2, all_layers=2
    )


@pytest.mark.parametrize("name", KNOWN)
def test_a_packed_model_is_as_large_as_the_catalogue_says(
    writer: ModuleType, released: ModuleType, name: str
) -> None:
    networks = writer.describe(released.released(name), RECIPE)
    num_bytes = sum(info.num_bytes for infos in networks.values() for info in infos.values())
    told_bytes = catalogue()[name].packed_bytes
    assert num_bytes == pytest.approx(told_bytes, rel=1e-3)


def test_each_tensor_is_what_quantizing_makes_of_it(
    writer: ModuleType, tiny: object, tmp_path: Path
) -> None:
    writer.write_random_model(tiny, tmp_path / "plain", None)
    quantize_folder(tmp_path / "plain", tmp_path / "packed", bits=4, progress=silent)
    writer.write_random_model(tiny, tmp_path / "random", RECIPE)
    packed, drawn = (open_checkpoint(tmp_path / name).tensors for name in ("packed", "random"))
    assert {name: (info.dtype, info.shape) for name, info in drawn.items()} == {
        name: (info.dtype, info.shape) for name, info in packed.items()
    }
    assert any(info.is_packed for info in drawn.values())


def test_what_is_written_loads_as_any_model_does(
    writer: ModuleType, tiny: object, tmp_path: Path
) -> None:
    num_bytes = writer.write_random_model(tiny, tmp_path / "tiny", RECIPE)
    model = load_model(tmp_path / "tiny", LoadOptions(model_id="tiny", max_context=512), silent)
    assert model.report.num_bytes == num_bytes
    assert model.tokenizer.vocab_size == model.decoder.vocab_size
    assert model.stop_ids == {model.tokenizer.id_of("<|im_end|>")}


@pytest.mark.parametrize("name", ["qwen3-omni", "qwen3-omni-thinking"])
def test_tokens_of_pictures_and_sounds_have_their_released_numbers(
    script: Callable[[str], ModuleType], released: ModuleType, tmp_path: Path, name: str
) -> None:
    model = released.released(name, num_layers=1)
    script("random_folder").write_rest(tmp_path, model)
    tokenizer, values = tokenizer_files.from_folder(tmp_path), model.networks[""].values
    thinker = values["thinker_config"]
    assert tokenizer.id_of("<|im_end|>") == values["im_end_token_id"]
    assert tokenizer.id_of("<|audio_pad|>") == thinker["audio_token_id"]
    assert tokenizer.encode("user") == [values["user_token_id"]]
    assert tokenizer.vocab_size <= thinker["text_config"]["vocab_size"]


def test_the_editing_model_has_all_that_is_read_beside_its_weights(
    script: Callable[[str], ModuleType], released: ModuleType, tmp_path: Path
) -> None:
    model = released.released(EDIT, num_layers=1)
    script("random_folder").write_rest(tmp_path, model)
    config = TextEncoderConfig.from_hf(model.networks["text_encoder"].values)
    assert read_rule(tmp_path / "processor/preprocessor_config.json", config.vision).merge == 2
    assert read_schedule(tmp_path / "scheduler/scheduler_config.json").sigmas(2, 64)[-1] == 0
    tokenizer = tokenizer_files.from_folder(tmp_path / "tokenizer")
    assert tokenizer.id_of("<|image_pad|>") == config.image_id
    assert (tmp_path / "vae/config.json").is_file()


def test_a_full_disk_is_told_before_anything_is_written(
    writer: ModuleType, released: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**11, 10**11 - 10**9, 10**9))
    with pytest.raises(Unavailable, match=r"1\.00 GB free, but 18\.23 GB are to be written; make"):
        writer.write_random_model(released.released("qwq-32b"), tmp_path / "out", RECIPE)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_alone(writer: ModuleType, tiny: object, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="is there already; delete it or name another"):
        writer.write_random_model(tiny, tmp_path, RECIPE)
