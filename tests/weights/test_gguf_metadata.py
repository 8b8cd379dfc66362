"""Metadata, read by type."""

from __future__ import annotations

import re

import pytest

from myna.core.errors import BadCheckpoint
from myna.weights.gguf_metadata import Metadata

PAIRS = Metadata(
    {
        "text": "llama",
        "whole": 7,
        "number": 0.5,
        "flag": True,
        "texts": ["a", "b"],
        "wholes": [1, 2],
        "numbers": [0.5],
    },
    file="m.gguf",
)


def test_it_is_a_mapping() -> None:
    assert PAIRS["text"] == "llama"
    assert len(PAIRS) == 7
    assert list(PAIRS)[:2] == ["text", "whole"]


def test_each_type_is_read_as_itself() -> None:
    assert PAIRS.text("text") == "llama"
    assert PAIRS.integer("whole") == 7
    assert PAIRS.number("number") == 0.5
    assert PAIRS.number("whole") == 7.0
    assert PAIRS.flag("flag") is True
    assert PAIRS.texts("texts") == ["a", "b"]
    assert PAIRS.integers("wholes") == [1, 2]
    assert PAIRS.numbers("numbers") == [0.5]


@pytest.mark.parametrize(
    "read", ["text", "integer", "number", "flag", "texts", "integers", "numbers"]
)
def test_an_absent_key_is_none(read: str) -> None:
    assert getattr(PAIRS, read)("absent") is None


@pytest.mark.parametrize(
    ("read", "key", "message"),
    [
        ("text", "whole", "the metadata key 'whole' is int 7, not str; convert the model"),
        ("integer", "flag", "the metadata key 'flag' is bool True, not int"),
        ("integer", "text", "the metadata key 'text' is str 'llama', not int"),
        ("number", "flag", "the metadata key 'flag' is bool True, not float"),
        ("flag", "whole", "the metadata key 'whole' is int 7, not bool"),
        ("texts", "text", "the metadata key 'text' is str 'llama', not an array of str"),
        ("texts", "wholes", "the metadata key 'wholes' is list [1, 2], not an array of str"),
        ("integers", "numbers", "the metadata key 'numbers' is list [0.5], not an array of int"),
    ],
)
def test_another_type_is_refused_by_key_and_value(read: str, key: str, message: str) -> None:
    with pytest.raises(BadCheckpoint, match=re.escape(f"m.gguf: {message}")):
        getattr(PAIRS, read)(key)
