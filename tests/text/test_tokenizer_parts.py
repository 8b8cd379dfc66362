"""Checks that all forms of a tokenizer share."""

import pytest

from myna.core.errors import BadCheckpoint
from myna.text import tokenizer_parts as parts


def test_a_merge_is_split_at_the_first_blank_after_its_first_character() -> None:
    assert parts.split_merge("a bc", rank=0, source="f") == ("a", "bc")
    assert parts.split_merge("  b", rank=0, source="f") == (" ", "b")


@pytest.mark.parametrize("line", ["", "ab", "ab ", " b"])
def test_a_merge_without_two_halves_is_refused(line: str) -> None:
    with pytest.raises(BadCheckpoint, match=r"^f: merge 7 is .*two tokens with a blank between"):
        parts.split_merge(line, rank=7, source="f")


def test_a_merge_into_no_token_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match="f: merge 0 joins 'a' and 'b', and 'ab' is no token"):
        parts.check_merges([("a", "b")], {"a": 0, "b": 1}, source="f")


def test_a_token_that_comes_twice_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match="token 'a' is there twice, with the ids 0 and 2"):
        parts.unique_vocab([("a", 0), ("b", 1), ("a", 2)], source="f")


@pytest.mark.parametrize(
    ("vocab", "added", "message"),
    [
        ({"a": 0}, [(1, "a")], "token 'a' has the ids 0 and 1"),
        ({"a": 0}, [(0, "b")], "the tokens 'a' and 'b' share the id 0"),
        ({"a": -1}, [], "token 'a' has the id -1, and ids lie between 0 and 4194303"),
        ({}, [(2**40, "a")], "token 'a' has the id 1099511627776"),
    ],
)
def test_ids_that_cannot_be_are_refused(
    vocab: dict[str, int], added: list[tuple[int, str]], message: str
) -> None:
    with pytest.raises(BadCheckpoint, match=message):
        parts.with_added(vocab, added, "f")
