"""Rotary positions in configuration files: both of Hugging Face's spellings, and GGUF's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from myna.core.errors import BadCheckpoint, Unsupported
from myna.layers.rope import Divisors, Interpolation, Llama3, RopeConfig, Yarn
from myna.models.fields import Fields
from myna.models.rope_fields import rope_from_gguf, rope_from_hf

LLAMA3_KEYS = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
LLAMA3 = Llama3(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context=8192)


@dataclass
class Stored:
    """Hold the tensors of a GGUF file."""

    weights: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def tensors(self) -> Mapping[str, object]:
        return {name: SimpleNamespace(shape=w.shape) for name, w in self.weights.items()}

    def read(self, name: str) -> Tensor:
        return self.weights[name]


def from_hf(**values: object) -> RopeConfig:
    return rope_from_hf(Fields(values, source="config.json"), 4096)


def from_gguf(weights: Mapping[str, Tensor] | None = None, **values: object) -> RopeConfig:
    prefixed = {f"qwen2.{key.replace('__', '.')}": value for key, value in values.items()}
    fields = Fields(prefixed, source="the GGUF header", prefix="qwen2.")
    return rope_from_gguf(fields, Stored(weights or {}), 4096, 8)


def test_the_base_alone_is_no_scaling() -> None:
    assert from_hf(rope_theta=1e6) == RopeConfig(theta=1e6)
    assert from_hf() == RopeConfig(theta=10_000.0)


@pytest.mark.parametrize("key", ["type", "rope_type"])
def test_old_files_say_type_or_rope_type(key: str) -> None:
    scaling = {key: "llama3", **LLAMA3_KEYS}
    assert from_hf(rope_theta=5e5, rope_scaling=scaling) == RopeConfig(theta=5e5, scaling=LLAMA3)


def test_new_files_hold_the_base_within() -> None:
    parameters = {"rope_type": "llama3", "rope_theta": 5e5, **LLAMA3_KEYS}
    assert from_hf(rope_parameters=parameters) == RopeConfig(theta=5e5, scaling=LLAMA3)


@pytest.mark.parametrize("scaling", [None, {}, {"type": "default"}, {"rope_type": "default"}])
def test_default_and_null_are_no_scaling(scaling: object) -> None:
    assert from_hf(rope_theta=1e6, rope_scaling=scaling).scaling is None


def test_linear_scaling_is_read() -> None:
    scaling = {"type": "linear", "factor": 2.0}
    assert from_hf(rope_scaling=scaling).scaling == Interpolation(factor=2.0)


def test_yarn_is_read_with_the_papers_defaults() -> None:
    scaling = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    expected = Yarn(factor=4.0, original_context=32768, beta_fast=32.0, beta_slow=1.0)
    assert from_hf(rope_scaling=scaling).scaling == expected


def test_yarn_without_an_original_context_takes_the_configured_one() -> None:
    found = from_hf(rope_scaling={"type": "yarn", "factor": 4.0}).scaling
    assert found == Yarn(factor=4.0, original_context=4096)


def test_every_key_of_yarn_is_read() -> None:
    keys = {"beta_fast": 16, "beta_slow": 2, "attention_factor": 1.5, "truncate": False}
    found = from_hf(rope_scaling={"rope_type": "yarn", "factor": 2, **keys}).scaling
    assert found == Yarn(
        factor=2.0,
        original_context=4096,
        beta_fast=16.0,
        beta_slow=2.0,
        attention_factor=1.5,
        truncate=False,
    )


def test_two_scales_of_yarn_make_one_attention_factor() -> None:
    keys = {"rope_type": "yarn", "factor": 40.0, "mscale": 1.0, "mscale_all_dim": 1.0}
    assert from_hf(rope_scaling=keys).attention_factor == 1.0


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(Unsupported, match="asks for rope type 'longrope'; known are default"):
        from_hf(rope_scaling={"type": "longrope"})


def test_parts_of_heads_cannot_be_left_unturned() -> None:
    with pytest.raises(BadCheckpoint, match=r"`partial_rotary_factor` is 0\.5"):
        from_hf(rope_parameters={"rope_type": "default", "partial_rotary_factor": 0.5})


def test_bounds_of_llama3_in_the_wrong_order_are_refused() -> None:
    scaling = {"rope_type": "llama3", **LLAMA3_KEYS, "high_freq_factor": 1.0}
    with pytest.raises(BadCheckpoint, match="a number above `low_freq_factor`, 1, is expected"):
        from_hf(rope_scaling=scaling)


@pytest.mark.parametrize("theta", ["1e6", 0, 1.0, -5, True, [1]])
def test_a_base_that_gives_no_angles_is_refused(theta: object) -> None:
    with pytest.raises(BadCheckpoint, match="`rope_theta` is"):
        from_hf(rope_theta=theta)


@pytest.mark.parametrize("key", ["factor", *LLAMA3_KEYS])
@pytest.mark.parametrize("value", ["8", [8], {}, True, -1])
def test_wrong_types_within_scaling_are_refused(key: str, value: object) -> None:
    with pytest.raises(BadCheckpoint, match=f"`{key}` is"):
        from_hf(rope_scaling={"rope_type": "llama3", **LLAMA3_KEYS, key: value})


@pytest.mark.parametrize(
    "key",
    ["beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim", "truncate"],
)
def test_wrong_types_within_yarn_are_refused(key: str) -> None:
    with pytest.raises(BadCheckpoint, match=f"`{key}` is 'x'"):
        from_hf(rope_scaling={"rope_type": "yarn", "factor": 4.0, key: "x"})


def test_gguf_without_keys_is_llama_cpps_default() -> None:
    assert from_gguf() == RopeConfig(theta=10_000.0)


def test_gguf_yarn_is_read() -> None:
    found = from_gguf(
        rope__freq_base=1e6,
        rope__scaling__type="yarn",
        rope__scaling__factor=4.0,
        rope__scaling__original_context_length=32768,
    )
    assert found.attention_factor == pytest.approx(1.138629, rel=1e-6)
    assert isinstance(found.scaling, Yarn)
    assert (found.scaling.factor, found.scaling.original_context) == (4.0, 32768)


def test_gguf_linear_is_read() -> None:
    found = from_gguf(rope__scaling__type="linear", rope__scaling__factor=2.0)
    assert found.scaling == Interpolation(factor=2.0)


def test_gguf_longrope_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match=r"`qwen2\.rope\.scaling\.type` is 'longrope'"):
        from_gguf(rope__scaling__type="longrope")


def test_stored_divisors_are_read() -> None:
    found = from_gguf({"rope_freqs.weight": torch.tensor([1.0, 1.0, 2.0, 8.0])})
    assert found.scaling == Divisors(values=(1.0, 1.0, 2.0, 8.0))


@pytest.mark.parametrize("values", [[1.0, 2.0], [[1.0] * 4]])
def test_divisors_of_another_shape_are_refused(values: list[object]) -> None:
    with pytest.raises(BadCheckpoint, match="but 4 float divisors are expected"):
        from_gguf({"rope_freqs.weight": torch.tensor(values)})


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_divisors_that_divide_by_nothing_are_refused(value: float) -> None:
    with pytest.raises(BadCheckpoint, match="divisors that are not positive numbers"):
        from_gguf({"rope_freqs.weight": torch.tensor([1.0, 1.0, 1.0, value])})
