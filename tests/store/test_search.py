"""Showing what was found where it stands."""

from __future__ import annotations

import pytest

from myna.store.search import excerpt


@pytest.mark.parametrize(
    ("text", "word", "shown"),
    [
        ("The Myna sings", "myna", "The «Myna» sings"),
        ("a\nb c", "b", "a «b» c"),
        ("x" * 60 + "bird" + "y" * 60, "bird", "…" + "x" * 40 + "«bird»" + "y" * 40 + "…"),
        ("nothing of it", "bird", "nothing of it"),
    ],
)
def test_an_excerpt_marks_the_word(text: str, word: str, shown: str) -> None:
    assert excerpt(text, word) == shown
