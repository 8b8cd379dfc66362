"""The models of the catalogue as they were released: their config.json, and the tensors they hold.

A text model of a family that Myna knows is a row of `TEXT`, and nothing else: its tensors are
listed by the family's own code. Not here: weights (random_weights), folders (random_model).
Sources: the released config.json files; what Myna does not read of them is left out.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from myna.core.errors import InvalidRequest, Unsupported
from myna.hub.catalogue import Kind, entry_of
from myna.models.qwen_image_edit.config import TextEncoderConfig, TransformerConfig, VaeConfig
from myna.models.qwen_image_edit.text_encoder import TextEncoder
from myna.models.qwen_image_edit.vae import Vae
from myna.models.qwen_image_edit.weights import EditTransformer
from myna.models.registry import family_for_config
from myna.models.tiny_image_edit import released_tensors

Json = dict[str, Any]  # Any: a parsed config.json, which the families' own readers check
Shapes = Mapping[str, tuple[int, ...]]

LAYOUTS = Path(__file__).resolve().parent.parent / "tests/models/layouts"
SIZES = (
    *("hidden_size", "num_hidden_layers", "intermediate_size"),
    *("num_attention_heads", "num_key_value_heads", "vocab_size"),
)
COMMON: Json = {
    "hidden_act": "silu",
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
QWEN2: Json = {
    **COMMON,
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "use_sliding_window": False,
}
QWEN3_MOE: Json = {
    **COMMON,
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "attention_bias": False,
    "decoder_sparse_step": 1,
    "head_dim": 128,
    "mlp_only_layers": [],
    "moe_intermediate_size": 768,
    "norm_topk_prob": True,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "use_sliding_window": False,
}
LLAMA: Json = {
    **COMMON,
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": False,
    "mlp_bias": False,
    "rms_norm_eps": 1e-5,
}
LLAMA3_ROPE: Json = {
    "factor": 8.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}


def _text(family: Json, *sizes: int, **others: object) -> Json:
    """Write a config.json: the numbers of `SIZES`, and the keys that differ from the family's."""
    return {**family, **dict(zip(SIZES, sizes, strict=True)), **others}


TEXT: Mapping[str, Json] = {
    "deepseek-r1-distill-qwen-1.5b": _text(QWEN2, 1536, 28, 8960, 12, 2, 151936, rope_theta=10_000),
    "deepseek-r1-distill-qwen-7b": _text(QWEN2, 3584, 28, 18944, 28, 4, 152064, rope_theta=10_000),
    "deepseek-r1-distill-qwen-14b": _text(QWEN2, 5120, 48, 13824, 40, 8, 152064, rms_norm_eps=1e-5),
    "deepseek-r1-distill-qwen-32b": _text(QWEN2, 5120, 64, 27648, 40, 8, 152064, rms_norm_eps=1e-5),
    "deepseek-r1-distill-llama-8b": _text(
        LLAMA, 4096, 32, 14336, 32, 8, 128256, rope_theta=500_000, rope_scaling=LLAMA3_ROPE
    ),
    "qwen2.5-0.5b-instruct": _text(
        *(QWEN2, 896, 24, 4864, 14, 2, 151936),
        max_position_embeddings=32768,
        tie_word_embeddings=True,
    ),
    "qwen2.5-7b-instruct": _text(
        QWEN2, 3584, 28, 18944, 28, 4, 152064, max_position_embeddings=32768
    ),
    "qwen3-30b-a3b": _text(QWEN3_MOE, 2048, 48, 6144, 32, 4, 151936, max_position_embeddings=40960),
    "smollm2-135m": _text(
        *(LLAMA, 576, 30, 1536, 9, 3, 49152),
        max_position_embeddings=8192,
        rope_theta=100_000,
        tie_word_embeddings=True,
    ),
}
# Of these the whole file lies in `LAYOUTS`.
FILES: Mapping[str, str] = {
    "qwq-32b": "qwq-32b",
    "qwen3-omni": "qwen3-omni-30b-a3b-instruct",
    "qwen3-omni-thinking": "qwen3-omni-30b-a3b-thinking",
    "qwen3-omni-captioner": "qwen3-omni-30b-a3b-thinking",  # of its structure, as far as is known
}
EDIT = "qwen-image-edit-2509"
EDIT_NETWORKS: Mapping[str, tuple[Any, Any]] = {  # Any: configurations and networks share no class
    "text_encoder": (TextEncoderConfig, TextEncoder),
    "transformer": (TransformerConfig, EditTransformer),
    "vae": (VaeConfig, Vae),
}
KNOWN = (*FILES, *TEXT, EDIT)
REFUSED: Mapping[str, str] = {
    "lightning": "is a LoRA: it changes another model and is none by itself",
    "qwen2.5-omni-7b": "is a model that Myna cannot run",
    "qwen2.5-omni-3b": "is a model that Myna cannot run",
}


@dataclass(frozen=True, kw_only=True)
class Network:
    """Describe one network: its config.json, and the shapes of its released tensors."""

    values: Json
    tensors: Shapes


@dataclass(frozen=True, kw_only=True)
class Released:
    """Describe a model, or its first layers.

    Attributes:
        id: its name in the catalogue.
        networks: by the folder that each is in; "" where there is but one.
        num_layers: of the network that works most: decoder, thinker or transformer.
        all_layers: how many it was released with.
    """

    id: str
    kind: Kind
    networks: Mapping[str, Network]
    num_layers: int
    all_layers: int

    @property
    def title(self) -> str:
        """Name it, and say which layers are left out."""
        if self.num_layers == self.all_layers:
            return self.id
        return f"{self.id}, {self.num_layers} of {self.all_layers} layers, the others left out"


def released(model_id: str, *, num_layers: int | None = None) -> Released:
    """Describe a model of the catalogue; nothing large is made.

    Args:
        model_id: as `myna list` names it.
        num_layers: at most so many of each stack that writes, speaks or draws; `None` is all.

    Raises:
        NotFound: the catalogue has no such model.
        Unsupported: Myna cannot run it by itself, or its configuration is not listed here.
        InvalidRequest: no layer would be left.
    """
    entry = entry_of(model_id)
    if entry.id not in KNOWN:
        reason = REFUSED.get(entry.id, "has no row in benchmarks/released.py; add its config.json")
        raise Unsupported(f"{entry.id} {reason}\nhint: known are {', '.join(sorted(KNOWN))}")
    if num_layers is not None and num_layers < 1:
        raise InvalidRequest(f"{num_layers} layers were asked for; take 1 or more")
    if entry.id == EDIT:
        return _released_edit(num_layers)
    values = copy.deepcopy(TEXT[entry.id]) if entry.id in TEXT else _read(FILES[entry.id])
    all_layers = _decoder(values)["num_hidden_layers"]
    if num_layers is not None:
        take_layers(values, num_layers)
    family = family_for_config(values)
    network = Network(values=values, tensors=family.tensors(family.config_from_hf(values)))
    return Released(
        id=entry.id,
        kind=entry.kind,
        networks={"": network},
        num_layers=_decoder(values)["num_hidden_layers"],
        all_layers=all_layers,
    )


def take_layers(values: Json, num_layers: int) -> None:
    """Leave all but the first layers of a text model, or of thinker and talker, out.

    Args:
        values: a config.json; is changed.
        num_layers: at most so many are left.
    """
    decoders = [_decoder(values)]
    if "talker_config" in values:
        talker = values["talker_config"]
        talker["accept_hidden_layer"] = max(1, min(talker["accept_hidden_layer"], num_layers - 1))
        decoders.append(talker["text_config"])
    for decoder in decoders:
        decoder["num_hidden_layers"] = min(decoder["num_hidden_layers"], num_layers)
    if "thinker_config" in values:
        vision = values["thinker_config"]["vision_config"]
        # The first layers of the thinker take one of these each.
        vision["deepstack_visual_indexes"] = vision["deepstack_visual_indexes"][:num_layers]


def _decoder(values: Json) -> Json:
    """Find what describes the decoder that writes."""
    return values["thinker_config"]["text_config"] if "thinker_config" in values else values


def _released_edit(num_layers: int | None) -> Released:
    values = {part: _read(f"{EDIT}.{part}") for part in EDIT_NETWORKS}
    transformer, text = values["transformer"], values["text_encoder"]
    all_layers = transformer["num_layers"]
    if num_layers is not None:
        transformer["num_layers"] = min(all_layers, num_layers)
        for section in (text, text["text_config"]):
            section["num_hidden_layers"] = min(section["num_hidden_layers"], num_layers)
        text["text_config"]["layer_types"] = text["text_config"]["layer_types"][:num_layers]
    networks = {}
    for part, (config, network) in EDIT_NETWORKS.items():
        with torch.device("meta"):
            made = network(config.from_hf(values[part]))
        networks[part] = Network(values=values[part], tensors=released_tensors(part, made))
    return Released(
        id=EDIT,
        kind="image_edit",
        networks=networks,
        num_layers=transformer["num_layers"],
        all_layers=all_layers,
    )


def _read(stem: str) -> Json:
    values: Json = json.loads((LAYOUTS / f"{stem}.config.json").read_text(encoding="utf-8"))
    return values
