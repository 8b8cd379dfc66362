"""Sampling defaults: the file's word before the vendor's advice, wrong types refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from myna.core.errors import BadCheckpoint
from myna.core.requests import SamplingParams
from myna.pipeline.defaults import (
    FALLBACK,
    GREEDY,
    SamplingDefaults,
    advice_for,
    defaults_from_folder,
    defaults_from_gguf,
    fill,
)


def write(folder: Path, value: object) -> Path:
    (folder / "generation_config.json").write_text(json.dumps(value))
    return folder


def test_the_files_word_counts(tmp_path: Path):
    folder = write(tmp_path, {"temperature": 0.6, "top_k": 40, "do_sample": True})
    assert defaults_from_folder(folder, name="x") == SamplingDefaults(temperature=0.6, top_k=40)


def test_do_sample_false_means_greedy(tmp_path: Path):
    assert defaults_from_folder(write(tmp_path, {"do_sample": False}), name="qwq") == GREEDY


def test_a_sequence_bias_is_the_models_own(tmp_path: Path):
    folder = write(tmp_path, {"do_sample": False, "sequence_bias": [[[5, 7], 2.5], [[3], -1.0]]})
    found = defaults_from_folder(folder, name="x")
    assert found == SamplingDefaults(temperature=0.0, sequence_bias=(((5, 7), 2.5), ((3,), -1.0)))
    assert fill(SamplingParams(temperature=0.5), found).sequence_bias == found.sequence_bias


def test_without_a_file_the_vendors_advice_counts(tmp_path: Path):
    assert defaults_from_folder(tmp_path, name="QwQ-32B").top_k == 40
    assert defaults_from_folder(write(tmp_path, {}), name="SmolLM2 135M").temperature == 0.2
    assert advice_for("something else") == FALLBACK


def test_gguf_keys_are_read_under_their_own_names():
    found = defaults_from_gguf({"general.sampling.temp": 0.5, "general.name": "x"}, name="x")
    assert found == SamplingDefaults(temperature=0.5)
    assert defaults_from_gguf({}, name="deepseek-r1-distill-qwen").temperature == 0.6


def test_wishes_go_before_defaults():
    filled = fill(SamplingParams(temperature=0.0), SamplingDefaults(temperature=0.6, top_k=40))
    assert (filled.temperature, filled.top_k) == (0.0, 40)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "holds a list"),
        ("{", "not valid JSON"),
        ('{"temperature": "hot"}', "sampling value of the wrong type"),
        ('{"top_k": 1.5}', "sampling value of the wrong type"),
        ('{"sequence_bias": [[[], 1.0]]}', "sampling value of the wrong type"),
        ('{"sequence_bias": [[[-1], 1.0]]}', "sampling value of the wrong type"),
        ('{"sequence_bias": [[[1], 1e9]]}', "sampling value of the wrong type"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: str, message: str):
    (tmp_path / "generation_config.json").write_text(content)
    with pytest.raises(BadCheckpoint, match=message):
        defaults_from_folder(tmp_path, name="x")
