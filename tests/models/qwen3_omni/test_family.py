"""The registry sees Qwen3-Omni as a text decoder, counted with its encoders and without speech."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from myna.core.errors import Unsupported
from myna.models.qwen3_omni.decoder import OmniDecoder
from myna.models.qwen3_omni.family import FAMILY, OmniConfig, thinker
from myna.models.registry import blueprint_for_folder
from myna.models.tiny_omni import tiny_omni_config

NAMES = ["thinker.lm_head.weight"]


def test_the_folder_is_known_and_its_parameters_are_counted():
    blueprint = blueprint_for_folder(tiny_omni_config(), NAMES)
    assert isinstance(blueprint.config, OmniConfig)
    whole = thinker(blueprint.config)
    held = sum(parameter.numel() for parameter in whole.parameters())
    costs = blueprint.costs()
    assert costs.parameters == held
    decoder = blueprint.build()
    assert isinstance(decoder, OmniDecoder)
    text = sum(parameter.numel() for parameter in decoder.parameters())
    assert costs.parameters_read < text < held


def test_speech_adds_nothing_to_the_count():
    silent = blueprint_for_folder(tiny_omni_config(has_speech=False), NAMES)
    assert silent.costs() == blueprint_for_folder(tiny_omni_config(), NAMES).costs()


def test_what_is_changed_of_the_decoder_reaches_the_whole():
    config = blueprint_for_folder(tiny_omni_config(), NAMES).config
    assert config.tied is False
    changed = replace(config, num_layers=3)
    assert len(thinker(changed).decoder.layers) == 3
    stretched = config.with_yarn(factor=2.0)
    assert stretched.whole.thinker.text.rope != config.whole.thinker.text.rope


def test_keys_without_a_meaning_are_listed():
    values = json.loads(json.dumps(tiny_omni_config())) | {"unknown_key": 1}
    assert "unknown_key" in OmniConfig.from_hf(values).ignored


def test_gguf_files_are_refused():
    with pytest.raises(Unsupported, match="as a GGUF file"):
        FAMILY.config_from_gguf({}, None)
    with pytest.raises(Unsupported, match="as a GGUF file"):
        FAMILY.gguf_rules(None)
