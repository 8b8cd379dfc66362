"""Tiny checkpoints: small, whole, seeded, and answering in more than one word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from myna.core.errors import Unsupported
from myna.layers.cache import PackedBatch
from myna.layers.dense_cache import DenseCache
from myna.models.registry import blueprint_for_folder
from myna.models.tiny import (
    GAIN,
    TINY_CONFIGS,
    draw,
    tiny_config,
    write_checkpoint,
    write_tiny_checkpoint,
)
from myna.text import tokenizer_files
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint

FILES = {
    "config.json",
    "generation_config.json",
    "merges.txt",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
}
MAX_BYTES = 300_000


def load(folder: Path):
    checkpoint = open_checkpoint(folder)
    config = json.loads((folder / "config.json").read_text())
    blueprint = blueprint_for_folder(config, checkpoint.tensors)
    network = blueprint.build()
    load_weights(network, checkpoint, blueprint.rules, dtype=torch.float32)
    return network


@pytest.mark.parametrize("model_type", TINY_CONFIGS)
def test_it_has_every_file_of_a_release_and_little_in_it(tmp_path: Path, model_type: str) -> None:
    folder = write_tiny_checkpoint(tmp_path / "new" / "folder", model_type)
    names = {path.name for path in folder.iterdir()}
    shards = names - FILES
    assert names > FILES
    assert len(shards) > 1
    assert f"model-00001-of-{len(shards):05d}.safetensors" in shards
    assert sum(path.stat().st_size for path in folder.iterdir()) < MAX_BYTES


@pytest.mark.parametrize("model_type", TINY_CONFIGS)
def test_it_loads_and_writes_varied_text(tmp_path: Path, model_type: str) -> None:
    network = load(write_tiny_checkpoint(tmp_path, model_type))
    tokenizer = tokenizer_files.from_folder(tmp_path)
    assert tokenizer.vocab_size <= network.vocab_size
    ids = tokenizer.encode("<|im_start|>user\nHello world<|im_end|>\n<|im_start|>assistant\n")
    caches = [DenseCache() for _ in range(network.num_layers)]
    written: list[int] = []
    for _ in range(32):
        known = len(ids) + len(written)
        new = torch.tensor(written[-1:] or ids)
        positions = torch.arange(known - len(new), known)
        hidden = network(PackedBatch(new, positions), caches)
        written.append(int(network.logits(hidden[-1:]).argmax()))
    assert len(set(written)) >= 8
    assert tokenizer.decode(written)


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    first, again = (write_tiny_checkpoint(tmp_path / name, "qwen2", seed=3) for name in "ab")
    other = write_tiny_checkpoint(tmp_path / "c", "qwen2", seed=4)
    shard = next(path.name for path in first.iterdir() if path.suffix == ".safetensors")
    assert (first / shard).read_bytes() == (again / shard).read_bytes()
    assert (first / shard).read_bytes() != (other / shard).read_bytes()


def test_keys_can_be_changed(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, "qwen2", dtype="bfloat16", num_hidden_layers=3)
    config = json.loads((folder / "config.json").read_text())
    assert (config["num_hidden_layers"], config["torch_dtype"]) == (3, "bfloat16")
    assert load(folder).num_layers == 3


def test_any_configuration_can_be_written(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, tiny_config("llama", tie_word_embeddings=False))
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert "lm_head.weight" in index["weight_map"]
    sizes = [2 * info.num_values for info in open_checkpoint(folder).tensors.values()]
    assert index["metadata"]["total_size"] == sum(sizes)


def test_an_unknown_model_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="of 'mamba' was asked for; known are llama, qwen2"):
        write_tiny_checkpoint(tmp_path, "mamba")


def test_nothing_is_drawn_neutral() -> None:
    norm = draw("norm.weight", (4096,), seed=0)
    bias = draw("q_proj.bias", (4096,), seed=0)
    matrix = draw("q_proj.weight", (256, 64), seed=0)
    assert (norm.min() > 0.5, norm.max() < 1.5, norm.std() > 0.2) == (True, True, True)
    assert float(bias.std()) == pytest.approx(0.3, rel=0.1)
    assert float(matrix.std()) == pytest.approx(GAIN / 8, rel=0.1)
