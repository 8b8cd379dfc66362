"""Sampling values outside their bounds are refused by name."""

from __future__ import annotations

import math

import pytest

from myna.core.errors import InvalidRequest
from myna.engine.sequence import Sampling


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_p", math.nan),
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", math.nan),
        ("presence_penalty", 101.0),
        ("frequency_penalty", math.nan),
        ("max_tokens", -1),
        ("min_tokens", -1),
        ("logprobs", 129),
        ("logprobs", -1),
    ],
)
def test_a_value_out_of_bounds_is_refused(field, value):
    with pytest.raises(InvalidRequest, match=f"`{field}` is {value} but must be") as caught:
        Sampling(**{field: value})
    assert caught.value.param == field


@pytest.mark.parametrize("bias", [math.nan, math.inf, 101.0])
def test_a_bias_out_of_bounds_is_refused(bias):
    with pytest.raises(InvalidRequest, match=r"`logit_bias` is .* but must be"):
        Sampling(logit_bias={3: bias})


def test_more_least_than_most_tokens_are_refused():
    with pytest.raises(InvalidRequest, match="`min_tokens` is 5 but `max_tokens` is 4"):
        Sampling(min_tokens=5, max_tokens=4)
