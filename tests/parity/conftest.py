"""Parity: the reference's own network, redrawn so that nothing in it is neutral, against ours.

The reference (transformers) saves its weights as it would a release; ours come through the real
loader. Freshly initialised weights would hide faults: norms of ones and biases of zeros are never
missed, and small outputs pass any absolute bar.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as reference_logging

from closeness import compare, watch
from myna.layers.cache import PackedBatch
from myna.layers.decoder import TextDecoder
from myna.layers.dense_cache import DenseCache
from myna.models.family import Blueprint
from myna.models.registry import blueprint_for_folder
from myna.weights.load import load_weights
from myna.weights.open import open_checkpoint

STAGE = re.compile(
    r"embed_tokens|norm|layers\.\d+"
    r"|layers\.\d+\.(input_layernorm|self_attn|post_attention_layernorm|mlp)"
    r"|layers\.\d+\.self_attn\.[qk]_norm"
)


@dataclass(frozen=True)
class Case:
    """Name a model type of the reference and the keys of its configuration that differ."""

    model_type: str
    values: Mapping[str, object] = field(default_factory=dict)

    def config(self) -> dict[str, object]:
        """Make the arguments of the reference's configuration."""
        return {
            "vocab_size": 96,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "rms_norm_eps": 1e-5,
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": None,
            **self.values,
        }


@dataclass(frozen=True)
class Pair:
    """Hold the same weights twice: in the reference's network and in ours."""

    reference: PreTrainedModel
    ours: TextDecoder
    blueprint: Blueprint
    folder: Path


def redraw(network: nn.Module, seed: int) -> None:
    """Draw all weights anew: matrices keep their input's size, norms and biases are felt."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3, generator=generator)
            elif parameter.ndim == 1:
                parameter.uniform_(0.5, 1.5, generator=generator)
            else:
                parameter.normal_(0, parameter.shape[-1] ** -0.5, generator=generator)


def make_reference(case: Case, seed: int) -> PreTrainedModel:
    """Build the reference's network with redrawn weights."""
    config = AutoConfig.for_model(case.model_type, **case.config())
    reference = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    redraw(reference, seed)
    return reference


def load_ours(folder: Path) -> tuple[TextDecoder, Blueprint]:
    """Load a folder through the real loader."""
    checkpoint = open_checkpoint(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    blueprint = blueprint_for_folder(config, checkpoint.tensors)
    ours = blueprint.build()
    load_weights(ours, checkpoint, blueprint.rules, dtype=torch.float32)
    return ours, blueprint


def stages(network: nn.Module, run: Callable[[], None]) -> dict[str, Tensor]:
    """Run a network and keep the output of every module that both sides have."""
    paths = [
        path for path, _ in network.named_modules() if STAGE.fullmatch(path.removeprefix("model."))
    ]
    with watch(network, paths) as kept:
        run()
    return {path.removeprefix("model."): tensor for path, tensor in kept.items()}


def reference_stages(pair: Pair, token_ids: Tensor) -> dict[str, Tensor]:
    """Run the reference: every stage, the cached keys and values, and the logits."""
    found: dict[str, Tensor] = {}

    def run() -> None:
        out = pair.reference(token_ids[None], use_cache=True)
        found["logits"] = out.logits[0]
        for i, layer in enumerate(out.past_key_values.layers):
            found[f"layers.{i}.keys"] = layer.keys[0]
            found[f"layers.{i}.values"] = layer.values[0]

    return stages(pair.reference, run) | found


def our_stages(
    ours: TextDecoder, token_ids: Tensor, positions: Tensor | None, caches: list[DenseCache]
) -> dict[str, Tensor]:
    """Run ours: the same stages under the same names."""
    positions = torch.arange(len(token_ids)) if positions is None else positions
    found: dict[str, Tensor] = {}

    def run() -> None:
        hidden = ours(PackedBatch(token_ids, positions), caches)
        found["logits"] = ours.logits(hidden)
        for i, cache in enumerate(caches):
            assert cache.keys is not None
            assert cache.values is not None
            found[f"layers.{i}.keys"] = cache.keys[0]
            found[f"layers.{i}.values"] = cache.values[0]

    return stages(ours, run) | found


def check_parity(
    pair: Pair,
    *,
    seed: int = 0,
    num_tokens: int = 48,
    positions: Tensor | None = None,
    make_cache: Callable[[], DenseCache] = DenseCache,
) -> dict[str, Tensor]:
    """Compare every stage; returns the reference's, so that callers can see which there were."""
    vocab_size = pair.ours.vocab_size
    token_ids = torch.randint(vocab_size, (num_tokens,), generator=torch.manual_seed(seed))
    caches = [make_cache() for _ in range(pair.ours.num_layers)]
    expected = reference_stages(pair, token_ids)
    found = our_stages(pair.ours, token_ids, positions, caches)
    compare(found, expected)
    return expected


def greedy(ours: TextDecoder, prompt: Tensor, num_tokens: int) -> list[int]:
    """Continue a prompt with the likeliest tokens, one at a time."""
    caches = [DenseCache() for _ in range(ours.num_layers)]
    tokens: list[int] = []
    batch = PackedBatch(prompt, torch.arange(len(prompt)))
    with torch.inference_mode():
        for position in range(len(prompt), len(prompt) + num_tokens):
            logits = ours.logits(ours(batch, caches)[-1:])
            tokens.append(int(logits.argmax()))
            batch = PackedBatch(torch.tensor(tokens[-1:]), torch.tensor([position]))
    return tokens


@dataclass(frozen=True)
class Parity:
    """Hand the above to tests, which may not import one another."""

    folder: Path

    def pair(self, model_type: str, *, seed: int = 0, **values: object) -> Pair:
        """Build the reference, save it as it would a release, and load that."""
        reference = make_reference(Case(model_type, values), seed)
        reference.save_pretrained(self.folder, max_shard_size="20KB")
        ours, blueprint = load_ours(self.folder)
        return Pair(reference, ours, blueprint, self.folder)

    check = staticmethod(check_parity)
    greedy = staticmethod(greedy)
    redraw = staticmethod(redraw)


@pytest.fixture
def parity(tmp_path: Path) -> Iterator[Parity]:
    """Give the tools of parity tests, and keep the reference's progress bars quiet."""
    reference_logging.disable_progress_bar()
    verbosity = reference_logging.get_verbosity()
    reference_logging.set_verbosity_error()
    yield Parity(tmp_path)
    reference_logging.set_verbosity(verbosity)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Give the path of the SmolLM2 file that `MYNA_TEST_SMOLLM2` names, or skip."""
    path = os.environ.get("MYNA_TEST_SMOLLM2")
    if path is None:
        pytest.skip("MYNA_TEST_SMOLLM2 does not name a SmolLM2-135M-Instruct GGUF file")
    return Path(path)
