"""How a model is sampled when the request has no wish: its file's word, else its vendor's advice.

Not here: the sampling itself (engine.sampler), and what a request may ask (core.requests).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from myna.core.errors import BadCheckpoint
from myna.core.requests import Bias, SamplingParams

TokenIds = Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(min_length=1)]


class SamplingDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """Fill what a request leaves open.

    `sequence_bias` is the model's own, which no request can change: see `engine.sequence.Sampling`.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    sequence_bias: tuple[tuple[TokenIds, Bias], ...] = ()


GREEDY = SamplingDefaults(temperature=0.0)

# By a fragment of the model's lower-case name; the first match counts. Sources: the model cards of
# QwQ-32B, DeepSeek-R1, Qwen3, Qwen2.5 and SmolLM2.
VENDOR_ADVICE: tuple[tuple[str, SamplingDefaults], ...] = (
    ("qwq", SamplingDefaults(temperature=0.6, top_p=0.95, top_k=40)),
    ("r1-distill", SamplingDefaults(temperature=0.6, top_p=0.95)),
    ("qwen3", SamplingDefaults(temperature=0.6, top_p=0.95, top_k=20)),
    ("qwen2.5", SamplingDefaults(temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05)),
    ("smollm2", SamplingDefaults(temperature=0.2, top_p=0.9)),
)
FALLBACK = SamplingDefaults(temperature=0.7, top_p=0.95)


def defaults_from_folder(folder: Path, *, name: str) -> SamplingDefaults:
    """Read `generation_config.json`; without one, take the vendor's advice for this name.

    Raises:
        BadCheckpoint: the file is no JSON object, or a value has the wrong type.
    """
    path = folder / "generation_config.json"
    if not path.is_file():
        return advice_for(name)
    try:
        fields = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadCheckpoint(f"{path} is not valid JSON ({error}); download it again") from error
    if not isinstance(fields, dict):
        kind = type(fields).__name__
        raise BadCheckpoint(f"{path} should hold a JSON object but holds a {kind}")
    if fields.get("do_sample") is False:
        fields = {"temperature": 0.0, "sequence_bias": fields.get("sequence_bias")}
    known = _known_fields(fields)
    if not known:
        return advice_for(name)
    return _convert(known, source=str(path))


def defaults_from_gguf(metadata: Mapping[str, object], *, name: str) -> SamplingDefaults:
    """Read the `general.sampling.*` keys; without any, take the vendor's advice for this name."""
    prefix = "general.sampling."
    fields = {
        key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)
    }
    if "temp" in fields:
        fields["temperature"] = fields.pop("temp")
    known = _known_fields(fields)
    return _convert(known, source="the GGUF header") if known else advice_for(name)


def advice_for(name: str) -> SamplingDefaults:
    """Look up the vendor's advice by the model's name."""
    lowered = name.lower().replace("_", "-").replace(" ", "-")
    return next((advice for part, advice in VENDOR_ADVICE if part in lowered), FALLBACK)


def fill(params: SamplingParams, defaults: SamplingDefaults) -> SamplingDefaults:
    """Return the request's wishes, with the model's defaults where there are none."""
    names = SamplingDefaults.__struct_fields__
    wishes = {name: wish for name in names if (wish := getattr(params, name, None)) is not None}
    return msgspec.structs.replace(defaults, **wishes)


def _known_fields(fields: Mapping[str, object]) -> dict[str, object]:
    names = SamplingDefaults.__struct_fields__
    return {name: fields[name] for name in names if fields.get(name) is not None}


def _convert(fields: dict[str, object], *, source: str) -> SamplingDefaults:
    try:
        return msgspec.convert(fields, SamplingDefaults)
    except msgspec.ValidationError as error:
        raise BadCheckpoint(f"{source} has a sampling value of the wrong type: {error}") from error
