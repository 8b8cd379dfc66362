"""What is said to an omni model."""

from __future__ import annotations

import pytest

from myna.text.instructions import language_name, transcribe_prompt, translate_prompt


@pytest.mark.parametrize(
    ("wish", "name"),
    [("en", "English"), ("EN-us", "English"), ("yue", "Cantonese"), (" klingon ", "Klingon")],
)
def test_languages_are_named(wish: str, name: str) -> None:
    assert language_name(wish) == name


def test_questions_are_those_the_model_was_taught() -> None:
    assert transcribe_prompt() == "Transcribe the audio into text."
    assert transcribe_prompt(language="de") == "Transcribe the German audio into text."
    assert transcribe_prompt(context=" Myna ").endswith("text. Context: Myna")
    assert translate_prompt(context=" ").endswith("in English text.")
