"""The tensors of a released Qwen3-Omni checkpoint: to write one, or to count.

They are read off the networks, with everything that the rules fuse, stack or rename undone. Not
here: those rules (weights), which must bring each tensor back to its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import torch
from torch import Tensor, nn

from myna.models.qwen3_omni.code2wav import CausalConv, TransposedConv
from myna.models.qwen3_omni.config import Config
from myna.models.qwen3_omni.thinker import Thinker
from myna.models.qwen3_omni.weights import GATE_UP, QKV, Speech

Shape = tuple[int, ...]
Listed = Iterator[tuple[str, Shape]]

# Where our modules lie in the files; the first that fits.
PREFIXES = (
    ("thinker.decoder.lm_head.", "thinker.lm_head."),
    ("thinker.decoder.", "thinker.model."),
    ("talker.decoder.embed_tokens.", "talker.model.codec_embedding."),
    ("talker.decoder.lm_head.", "talker.codec_head."),
    ("talker.decoder.", "talker.model."),
    ("talker.code_predictor.lm_head", "talker.code_predictor.lm_head"),
    ("talker.code_predictor.", "talker.code_predictor.model."),
    ("", ""),
)


def tensors(config: Config) -> dict[str, Shape]:
    """List the released tensors and their shapes."""
    with torch.device("meta"):
        thinker = Thinker(config.thinker)
        speech = None if config.speech is None else Speech(config.speech)
    return {name: tuple(value.shape) for name, value in split(thinker, speech)}


def split(thinker: Thinker, speech: Speech | None) -> Iterator[tuple[str, Tensor]]:
    """Give the released tensors of a model, each a view into the parameter that it is part of."""
    parts = nn.ModuleDict({"thinker": thinker})
    if speech is not None:
        parts.update(speech.named_children())
    for path, module in parts.named_modules():
        for leaf, value in module.named_parameters(recurse=False):
            values, start = value.detach().flatten(), 0
            # Pieces lie one after another in memory, in the order in which they are listed.
            for name, shape in _pieces(parts, path, leaf, tuple(value.shape)):
                stop = start + prod(shape)
                yield _in_files(name), values[start:stop].view(shape)
                start = stop


def _pieces(parts: nn.ModuleDict, path: str, leaf: str, shape: Shape) -> Listed:
    """List what one parameter is made of."""
    parent, _, own = path.rpartition(".")
    rows = shape[0]
    if own == "qkv_proj":
        attention = parts.get_submodule(parent)
        k = attention.num_kv_heads * attention.head_width
        sizes = zip(QKV, (rows - 2 * k, k, k), strict=True)
        return ((f"{parent}.{name}.{leaf}", (size, *shape[1:])) for name, size in sizes)
    if own == "gate_up_proj":
        return ((f"{parent}.{name}.{leaf}", (rows // 2, *shape[1:])) for name in GATE_UP)
    if own == "experts":
        return _experts(path, leaf, shape)
    if own == "code_predictor":
        return ((f"{path}.{leaf}.{book}.weight", shape[1:]) for book in range(rows))
    if isinstance(parts.get_submodule(path), CausalConv | TransposedConv):
        return iter([(f"{path}.conv.{leaf}", shape)])
    return iter([(f"{path}.{leaf}", shape)])


def _experts(path: str, leaf: str, shape: Shape) -> Listed:
    num_experts, num_rows, num_columns = shape
    names = GATE_UP if leaf == "gate_up_proj" else (leaf,)
    for expert in range(num_experts):
        for name in names:
            yield f"{path}.{expert}.{name}.weight", (num_rows // len(names), num_columns)


def _in_files(name: str) -> str:
    ours, theirs = next(pair for pair in PREFIXES if name.startswith(pair[0]))
    return theirs + name.removeprefix(ours)
