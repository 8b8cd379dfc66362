"""How configuration files spell rotary positions: Hugging Face's two ways, and GGUF's.

Not here: what the angles are (layers.rope).
Sources: transformers 5.23 `modeling_rope_utils`; llama.cpp `gguf-py/gguf/constants.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from myna.core.errors import BadCheckpoint, Unsupported
from myna.layers import rope
from myna.models.fields import Fields

MAX_CONTEXT = 2**27
DEFAULT_THETA = 10_000.0  # what transformers and llama.cpp assume when the file names none


class Tensors(Protocol):
    """What is asked of a GGUF checkpoint beyond its metadata: shapes and a few small tensors."""

    @property
    def tensors(self) -> Mapping[str, Any]:  # Any: the loader's TensorInfo; only `.shape` is read
        """Map each tensor's name to its description."""
        ...

    def read(self, name: str) -> Any:  # Any: a Tensor, or a packed weight, which is refused
        """Read one tensor."""
        ...


def rope_from_hf(fields: Fields, context: int) -> rope.RopeConfig:
    """Read `rope_parameters` (transformers 5), or `rope_scaling` beside `rope_theta` (4)."""
    section = fields.section("rope_parameters")
    legacy = fields.section("rope_scaling")
    theta = _theta(fields, default=DEFAULT_THETA)
    section = section or legacy
    if section is None:
        return rope.RopeConfig(theta=theta)
    theta = _theta(section, default=theta)
    if section.number("partial_rotary_factor", low=0, high=1, default=1.0) != 1.0:
        raise section.refuse("partial_rotary_factor", "1 (whole heads are turned)")
    kind = section.text("rope_type", default=section.text("type", default="default"))
    match kind:
        case "default":
            scaling: rope.Scaling | None = None
        case "linear":
            scaling = rope.Interpolation(factor=_factor(section))
        case "llama3":
            scaling = _llama3(section, context)
        case "yarn":
            scaling = _yarn(section, context)
        case _:
            raise Unsupported(
                f"{section.source} asks for rope type {kind!r:.80}; known are default, linear, "
                "llama3 and yarn."
            )
    return rope.RopeConfig(theta=theta, scaling=scaling)


def _theta(fields: Fields, *, default: float) -> float:
    return fields.number("rope_theta", low=1.001, high=1e12, default=default)


def _factor(fields: Fields) -> float:
    return fields.number("factor", low=1, high=1024)


def _llama3(fields: Fields, context: int) -> rope.Llama3:
    low = fields.number("low_freq_factor", low=1e-3, high=1e6)
    high = fields.number("high_freq_factor", low=1e-3, high=1e6)
    if high <= low:
        raise fields.refuse("high_freq_factor", f"a number above `low_freq_factor`, {low:g},")
    original = fields.integer("original_max_position_embeddings", high=MAX_CONTEXT, default=context)
    return rope.Llama3(
        factor=_factor(fields),
        low_freq_factor=low,
        high_freq_factor=high,
        original_context=original,
    )


def _yarn(fields: Fields, context: int) -> rope.Yarn:
    factor = _factor(fields)
    attention: float | None = None
    if fields.get("attention_factor") is not None:
        attention = fields.number("attention_factor", low=1e-3, high=1e3)
    scale = fields.number("mscale", low=0, high=1e3, default=0.0)
    scale_all = fields.number("mscale_all_dim", low=0, high=1e3, default=0.0)
    if attention is None and scale and scale_all and factor > 1:
        log = 0.1 * math.log(factor)
        attention = (scale * log + 1) / (scale_all * log + 1)
    return rope.Yarn(
        factor=factor,
        original_context=fields.integer(
            "original_max_position_embeddings", high=MAX_CONTEXT, default=context
        ),
        beta_fast=fields.number("beta_fast", low=1e-3, high=1e6, default=32.0),
        beta_slow=fields.number("beta_slow", low=1e-3, high=1e6, default=1.0),
        attention_factor=attention,
        truncate=fields.boolean("truncate", default=True),
    )


def rope_from_gguf(
    fields: Fields, checkpoint: Tensors, context: int, head_width: int
) -> rope.RopeConfig:
    theta = fields.number("rope.freq_base", low=1.001, high=1e12, default=DEFAULT_THETA)
    if "rope_freqs.weight" in checkpoint.tensors:
        scaling: rope.Scaling | None = _divisors(checkpoint, head_width)
        return rope.RopeConfig(theta=theta, scaling=scaling)
    kind = fields.choice("rope.scaling.type", ("none", "linear", "yarn"), default="none")
    if kind == "none":
        return rope.RopeConfig(theta=theta)
    factor = fields.number("rope.scaling.factor", low=1, high=1024)
    if kind == "linear":
        return rope.RopeConfig(theta=theta, scaling=rope.Interpolation(factor=factor))
    original = fields.integer(
        "rope.scaling.original_context_length", high=MAX_CONTEXT, default=context
    )
    # llama.cpp multiplies the paper's attention factor by `attn_factor`.
    attention = fields.number("rope.scaling.attn_factor", low=1e-3, high=1e3, default=1.0)
    yarn = rope.Yarn(
        factor=factor,
        original_context=original,
        beta_fast=fields.number("rope.scaling.yarn_beta_fast", low=1e-3, high=1e6, default=32.0),
        beta_slow=fields.number("rope.scaling.yarn_beta_slow", low=1e-3, high=1e6, default=1.0),
        attention_factor=attention * (0.1 * math.log(factor) + 1.0),
    )
    return rope.RopeConfig(theta=theta, scaling=yarn)


def _divisors(checkpoint: Tensors, head_width: int) -> rope.Divisors:
    tensor = checkpoint.read("rope_freqs.weight")
    if not isinstance(tensor, Tensor) or tuple(tensor.shape) != (head_width // 2,):
        raise BadCheckpoint(
            f"`rope_freqs.weight` is {tuple(tensor.shape)}, but {head_width // 2} float divisors "
            "are expected; download the model again."
        )
    values = tuple(float(value) for value in tensor)
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise BadCheckpoint(
            "`rope_freqs.weight` holds divisors that are not positive numbers; download the model "
            "again."
        )
    return rope.Divisors(values=values)
