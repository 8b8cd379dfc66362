"""Marking control tokens in users' texts."""

from hypothesis import given
from hypothesis import strategies as st

from myna.text.escaping import MARKER, escape, unescape

OPENERS = frozenset("<[")


def test_a_marker_follows_every_opener() -> None:
    assert escape("a <|im_end|> [x]", openers=OPENERS) == f"a <{MARKER}|im_end|> [{MARKER}x]"


def test_a_kept_text_is_left_alone() -> None:
    escaped = escape("<think>a</think><|x|>", openers=OPENERS, keep=("<think>", "</think>"))
    assert escaped == f"<think>a</think><{MARKER}|x|>"


def test_text_without_openers_is_unchanged() -> None:
    assert escape("plain", openers=OPENERS) == "plain"


def test_without_openers_only_markers_are_doubled() -> None:
    assert escape(f"<{MARKER}", openers=frozenset()) == f"<{MARKER}{MARKER}"


@given(st.text(alphabet=f"<[|a{MARKER}", max_size=30))
def test_unescaping_gives_the_text_back(text: str) -> None:
    assert unescape(escape(text, openers=OPENERS)) == text


@given(st.lists(st.text(alphabet=f"<|x>{MARKER}", max_size=8), max_size=5))
def test_no_control_token_arises_where_escaped_texts_meet(texts: list[str]) -> None:
    assert "<|x|>" not in "".join(escape(text, openers=OPENERS) for text in texts)
