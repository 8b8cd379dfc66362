"""Fields that chat and raw completions share: unknown ones are ignored, wrong types are errors."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from myna.core.requests import Bias

MAX_CHOICES = 8
MAX_TOKENS = 2**31 - 1
MAX_SEED = 2**63 - 1

Name = Annotated[str, Meta(max_length=256)]
Stop = Annotated[str, Meta(min_length=1, max_length=256)]
Count = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
JsonObject = dict[str, Any]  # Any: a JSON schema, handed on as text without being looked at.
Fraction = Annotated[float, Meta(ge=0, le=1)]


class StreamOptions(msgspec.Struct, kw_only=True):
    """Options of a stream."""

    include_usage: bool | None = None


class StructuredOutputs(msgspec.Struct, kw_only=True):
    """vLLM's form of a constraint: one of a JSON schema, a regular expression or a Lark grammar."""

    json: JsonObject | str | None = None
    regex: str | None = None
    grammar: str | None = None


class SamplingFields(msgspec.Struct, kw_only=True):
    """Fields that say how to choose tokens and how to deliver them."""

    model: Name | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Fraction | None = None
    top_k: Annotated[int, Meta(ge=-1, le=MAX_TOKENS)] | None = None
    min_p: Fraction | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    seed: Annotated[int, Meta(ge=-MAX_SEED - 1, le=MAX_SEED)] | None = None
    stop: Stop | Annotated[list[Stop], Meta(max_length=16)] | None = None
    logit_bias: Annotated[dict[str, Bias], Meta(max_length=1024)] | None = None
    max_tokens: Count | None = None
    min_tokens: Count | None = None
    ignore_eos: bool | None = None
    structured_outputs: StructuredOutputs | None = None
