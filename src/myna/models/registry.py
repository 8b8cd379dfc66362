"""The families that can be loaded, and how one is chosen for a folder or a file.

To add a family: a folder beside this file, and its row in `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from myna.core.errors import BadCheckpoint, Unsupported
from myna.models import llama, qwen2, qwen3
from myna.models.family import Blueprint, Family
from myna.models.qwen3_omni.family import FAMILY as QWEN3_OMNI
from myna.models.rope_fields import Tensors

FAMILIES: tuple[Family, ...] = (qwen2.FAMILY, qwen3.FAMILY, llama.FAMILY, QWEN3_OMNI)


def family_for_config(config: Mapping[str, object]) -> Family:
    """Choose the family of a parsed config.json by its `model_type`."""
    known = {kind: family for family in FAMILIES for kind in family.model_types}
    return _choose(known, config.get("model_type"), "config.json", "model_type")


def family_for_gguf(metadata: Mapping[str, object]) -> Family:
    """Choose the family of a GGUF file by its `general.architecture`."""
    known = {kind: family for family in FAMILIES for kind in family.architectures}
    found = metadata.get("general.architecture")
    return _choose(known, found, "the GGUF header", "general.architecture")


def blueprint_for_folder(config: Mapping[str, object], tensor_names: Collection[str]) -> Blueprint:
    """Settle how a Hugging Face folder is loaded.

    Args:
        config: the parsed config.json.
        tensor_names: of all its weight files.
    """
    family = family_for_config(config)
    settled = family.config_from_hf(config).with_head(stored="lm_head.weight" in tensor_names)
    return Blueprint(family=family, config=settled, rules=family.rules(settled))


def blueprint_for_gguf(metadata: Mapping[str, object], checkpoint: Tensors) -> Blueprint:
    """Settle how a GGUF file is loaded."""
    family = family_for_gguf(metadata)
    config = family.config_from_gguf(metadata, checkpoint)
    settled = config.with_head(stored="output.weight" in checkpoint.tensors)
    return Blueprint(family=family, config=settled, rules=family.gguf_rules(settled))


def _choose(known: Mapping[str, Family], found: object, source: str, key: str) -> Family:
    if not isinstance(found, str):
        raise BadCheckpoint(
            f"{source} says `{key}` is {found!r:.80}, but the name of a model family is expected; "
            "download the model again."
        )
    if found not in known:
        raise Unsupported(
            f"{source} says `{key}` is {found!r:.80}, which is not supported; known are "
            f"{', '.join(sorted(known))}."
        )
    return known[found]
