"""Low-rank changes of a model's matrices, read from a file in any of the public forms of names.

    transformer_blocks.0.attn.to_q.lora_A.weight         with or without `.default`, and lora_down
    diffusion_model.transformer_blocks.0.attn.to_q.lora_down.weight      likewise `transformer.`
    lora_unet_transformer_blocks_0_attn_to_q.lora_down.weight            flattened

Beside each pair stands an `alpha` or none. Not here: where they go in a network (each family).
Source: diffusers 0.42.1 `_convert_non_diffusers_qwen_lora_to_diffusers`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from myna.core.errors import BadCheckpoint
from myna.weights.report import some_names
from myna.weights.safetensors_header import read_header

PREFIXES = ("base_model.model.", "diffusion_model.", "transformer.", "lora_unet_")
ROLE = re.compile(
    r"(?P<module>.+?)\.(?:"
    r"(?P<down>lora_down|lora_A|lora\.down)(?:\.default)?\.weight|"
    r"(?P<up>lora_up|lora_B|lora\.up)(?:\.default)?\.weight|"
    r"(?P<alpha>alpha))"
)


@dataclass(frozen=True)
class LowRank:
    """Change a matrix by `up @ down`.

    Attributes:
        down: (R, columns).
        up: (rows, R), scaled already.
    """

    down: Tensor
    up: Tensor


def read_lora(path: Path, modules: Collection[str], *, dtype: torch.dtype) -> dict[str, LowRank]:
    """Read a file of low-rank changes.

    Args:
        path: a safetensors file.
        modules: the names of the matrices that may be changed, without `.weight`.
        dtype: of the result.

    Returns:
        The changes by the names of `modules`.

    Raises:
        BadCheckpoint: the file is damaged, or changes what is not there.
    """
    read_header(path)
    found: dict[str, dict[str, Tensor]] = {}
    strange = []
    names = {name.replace(".", "_"): name for name in modules}
    for key, value in load_file(path).items():
        match = ROLE.fullmatch(_bare(key))
        module = None if match is None else names.get(match["module"].replace(".", "_"))
        if match is None or module is None:
            strange.append(key)
            continue
        role = next(role for role in ("down", "up", "alpha") if match[role])
        found.setdefault(module, {})[role] = value
    if strange or not found:
        raise BadCheckpoint(
            f"{path.name} holds {len(strange)} tensors that change nothing in this model, such as "
            f"{some_names(strange[:1])}; it was made for another one"
        )
    return {module: _pair(path, module, parts, dtype) for module, parts in found.items()}


def _bare(key: str) -> str:
    for prefix in PREFIXES:
        key = key.removeprefix(prefix)
    return key


def _pair(path: Path, module: str, parts: Mapping[str, Tensor], dtype: torch.dtype) -> LowRank:
    """Put the two halves of a change together."""
    down, up = parts.get("down"), parts.get("up")
    if down is None or up is None:
        raise BadCheckpoint(
            f"{path.name} holds only half of the change of {module!r}; download it again"
        )
    if down.dim() != 2 or up.dim() != 2 or up.shape[1] != down.shape[0]:
        raise BadCheckpoint(
            f"{path.name} changes {module!r} by {tuple(up.shape)} times {tuple(down.shape)}, which "
            "do not fit each other; download it again"
        )
    rank = down.shape[0]
    alpha = parts.get("alpha")
    scale = 1.0 if alpha is None else float(alpha) / rank
    return LowRank(down.to(dtype), (up.float() * scale).to(dtype))
